//! What holds for every record, whatever it contains and however its bytes are damaged.
