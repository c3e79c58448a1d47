"""Records of Common Crawl by selection: matching index rows, then the byte ranges they name. The door is `acquire`."""
