//! Functions that can be declared as a route, policy, listener, hook or schedule.

/// A function of up to eight arguments, or a closure that captures nothing.
///
/// It is implemented for all such functions, and a handler does not need to implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that can be declared here",
    label = "not a function of up to eight owned arguments",
    note = "write `fn name(argument: Extractor, …) -> Answer`; a closure needs the types of its arguments: `|socket: Socket| …`"
)]
pub trait Function<Arguments> {
    /// The return type of the function.
    type Output;

    /// Calls the function with a tuple of its arguments.
    fn call(&self, arguments: Arguments) -> Self::Output;
}

/// Fails the build when a function has captured values. It must be called inside `const { }`.
pub(crate) const fn assert_captures_nothing<F>() {
    assert!(
        size_of::<F>() == 0,
        "a route, policy, listener, hook or schedule must be a function or a closure that captures nothing: every instance builds the \
         app anew, so captured values would not last. Keep them in the socket's context or in the bucket, or make them a `const`"
    );
}

macro_rules! function {
    ($($argument:ident)*) => {
        impl<F, Output, $($argument,)*> Function<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Output,
        {
            type Output = Output;

            #[allow(non_snake_case)]
            fn call(&self, ($($argument,)*): ($($argument,)*)) -> Output {
                self($($argument),*)
            }
        }
    };
}

crate::tuples::for_tuples!(function);
