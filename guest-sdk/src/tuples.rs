//! A macro that implements traits for tuples of zero to eight elements.

/// Calls a macro with the names of zero to eight type parameters.
macro_rules! for_tuples {
    ($implement:ident) => {
        $implement!();
        $implement!(A);
        $implement!(A B);
        $implement!(A B C);
        $implement!(A B C D);
        $implement!(A B C D E);
        $implement!(A B C D E F_);
        $implement!(A B C D E F_ G);
        $implement!(A B C D E F_ G H);
    };
}

pub(crate) use for_tuples;
