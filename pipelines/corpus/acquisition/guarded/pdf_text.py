"""The child of the PDF reader: `python -m` with limits and a path; one JSON line for the file, one for each page."""

import json
import sys

from pipelines.corpus.acquisition.guarded.child import guard, refuse

KEPT = ("Title", "Author", "Subject", "CreationDate")


def main() -> None:
    """Write the document's properties and the text of every page, as PDFium has it."""
    limits, path, max_bytes = sys.argv[1:4]
    guard(limits)
    import pypdfium2
    from pypdfium2 import raw

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = raw.FPDF_GetLastError() == raw.FPDF_ERR_PASSWORD or "assword" in str(error)
        refuse("encrypted" if locked else "unreadable_file", str(error))
    properties = {name: value for name in KEPT if (value := document.get_metadata_value(name))}
    print(json.dumps({"pages": len(document), "properties": properties}))
    left = int(max_bytes)
    for number in range(len(document)):
        try:
            page = document[number].get_textpage().get_text_bounded()
        except pypdfium2.PdfiumError as error:
            print(json.dumps({"error": str(error)}))
            continue
        left -= len(page.encode("utf-8", "replace"))
        if left < 0:
            refuse("record_too_large", f"more than {max_bytes} bytes of text, on {number + 1} of {len(document)} pages")
        print(json.dumps({"text": page}))


if __name__ == "__main__":
    main()
