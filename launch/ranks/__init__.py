"""How the ranks of one launch live: started, found, watched, recorded, ended."""
