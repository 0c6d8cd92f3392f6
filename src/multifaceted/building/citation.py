"""The paper whose method this is, as BibTeX: what the card and the Croissant file ask to cite."""

CITATION = """@inproceedings{lee2024aligning,
  title         = {Aligning to Thousands of Preferences via System Message Generalization},
  author        = {Lee, Seongyun and Park, Sue Hyun and Kim, Seungone and Seo, Minjoon},
  booktitle     = {Advances in Neural Information Processing Systems},
  volume        = {37},
  year          = {2024},
  eprint        = {2405.17977},
  archivePrefix = {arXiv}
}"""
