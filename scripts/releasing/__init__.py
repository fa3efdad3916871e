"""What a release is made of: every part from the files of one commit, equal bytes from equal commits."""
