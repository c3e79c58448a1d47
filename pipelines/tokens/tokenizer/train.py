"""Train a byte-level BPE.

In: a deterministic sample (`sample.py`). 1. Words by the pre-tokenizer pattern, as bytes. 2. Hugging Face's trainer
merges the most frequent pair (ties: smaller ids first) until the vocabulary is full or no pair is frequent enough;
control tokens take the first ids, the 256 bytes the next. 3. The result is written out as canonical files.
Out: `TokenizerBundle`. The trainer counts words in parallel but orders pairs by (count, ids), so threads and the order
of documents do not show in the bytes. Cost: a second per MB of text on one core (16,384 tokens), and memory for the
distinct words.
"""

import json
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines.core.fingerprint import Algorithm
from pipelines.tokens.tokenizer.bundle import TokenizerBundle, TokenizerError, canonical_json
from pipelines.tokens.tokenizer.config import TrainedTokenizer
from pipelines.tokens.tokenizer.patterns import split_pattern
from pipelines.tokens.tokenizer.sample import Sample
from pipelines.tokens.tokenizer.text_only import byte_alphabet, text_only

TRAIN = Algorithm("byte_level_bpe", 1)


def train_tokenizer(sample: Sample, config: TrainedTokenizer) -> TokenizerBundle:
    """A tokenizer of at most `config.vocab_size` tokens. Raises TokenizerError when the sample is empty."""
    if not sample.documents:
        raise TokenizerError(
            "no text to train a tokenizer on: the named batches gave an empty sample; check its budgets"
        )
    return train_on_texts((document.text for document in sample.documents), config)


def train_on_texts(texts: Iterable[str], config: TrainedTokenizer) -> TokenizerBundle:
    """As `train_tokenizer`, on texts alone."""
    control = config.control_tokens()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split_pattern(config.split, config.digits)), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(control),
        initial_alphabet=byte_alphabet(),
        max_token_length=config.max_token_bytes,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    data = canonical_json(json.loads(tokenizer.to_str()))
    facts = text_only(data, config.end_of_text).facts
    return TokenizerBundle(data, canonical_json(_transformers_config(config)), facts)


def _transformers_config(config: TrainedTokenizer) -> dict[str, object]:
    """What `PreTrainedTokenizerFast.from_pretrained` needs; no cleaning up of spaces, which is not lossless."""
    padding = next((token for token in config.special_tokens if "pad" in token), config.end_of_text)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": config.end_of_text,
        "eos_token": config.end_of_text,
        "pad_token": padding,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
    }
