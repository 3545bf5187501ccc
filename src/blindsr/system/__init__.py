"""What the machine gives: files, folders, memory, and content that anybody may have made."""
