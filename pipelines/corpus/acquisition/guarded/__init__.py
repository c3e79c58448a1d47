"""Steps that run in processes of their own, because an engine for a hostile format may crash, hang or flood memory."""
