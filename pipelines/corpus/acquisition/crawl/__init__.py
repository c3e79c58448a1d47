"""A polite, bounded, resumable web crawler that writes WARC 1.1 files. The door is `crawler.crawl`."""
