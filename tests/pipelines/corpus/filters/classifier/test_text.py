from pipelines.corpus.filters.classifier.text import one_line, predictable


def test_a_line_is_what_fasttext_reads_whole():
    assert one_line("Hello\tWorld\n\nAgain\x00\u00a0now ", 100) == "hello world again now"
    assert one_line("一个 test，好", 100) == "一 个 test ， 好"
    assert one_line("\u3000 \n", 100) == ""
    assert one_line("abcdef", 3) == "abc"


def test_no_word_ends_the_line_or_is_a_label():
    for text in ("a </s> b", "x</s>y", "__label__positive z", "</S>", "__LABEL__x"):
        assert "</s>" not in one_line(text, 100)
        assert not any(word.startswith("__label__") for word in one_line(text, 100).split())
    assert predictable("a\n</s> b", 100) == "a < /s> b"
