"""The op vocabulary: one declarative file per family; see ``core.OpDef``."""
