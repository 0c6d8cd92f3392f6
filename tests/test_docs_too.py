"""The documents that `test_docs.py` leaves, so that two workers share them."""

from pathlib import Path

import pytest
from test_docs import DOCUMENTS, ROOT, run_document

from multifaceted.testing import ChatServer, HubServer


@pytest.mark.parametrize("document", DOCUMENTS[1::2], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_code_blocks_of_a_document_run(
    document: Path, server: ChatServer, hub: HubServer, tmp_path: Path
) -> None:
    run_document(document, server, hub, tmp_path)
