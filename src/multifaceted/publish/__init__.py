"""What stands around the published shards: the card. The only importer of `huggingface_hub`."""
