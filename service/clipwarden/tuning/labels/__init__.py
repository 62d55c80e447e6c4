"""What people said about pictures: how the pictures were drawn, and for each category yes, no, unsure, or nothing."""
