"""Build and curate preference datasets: taxonomy, generator, and a collection that `load_dataset` opens.

The command line is `multifaceted`; the taxonomy API is `multifaceted.taxonomy`.
"""
