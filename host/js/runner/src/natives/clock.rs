//! Clocks and random numbers.

use std::cell::Cell;

use rquickjs::{Ctx, Result, TypedArray};

use super::Host;
use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi::random::random;

thread_local! {
    /// The state of `Math.random`. It is 0 until the first use in an instance, because the image of the memory would
    /// otherwise give every instance the same numbers.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

pub fn add(host: &Host<'_>) -> Result<()> {
    host.add("random", number)?;
    host.add("now", || monotonic_clock::now() as f64 / 1e6)?;
    host.add("randomBytes", bytes)
}

fn bytes<'js>(ctx: Ctx<'js>, length: u32) -> Result<TypedArray<'js, u8>> {
    TypedArray::new(ctx, random::get_random_bytes(u64::from(length)))
}

/// Makes the next use of `Math.random` take a new seed.
pub fn forget_seed() {
    SEED.set(0);
}

/// Returns a number from 0 to 1, by xorshift64*.
fn number() -> f64 {
    let mut state = SEED.get();
    if state == 0 {
        // xorshift never leaves 0.
        state = random::get_random_u64() | 1;
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    SEED.set(state);
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns the time for `Date`, in microseconds since the Unix epoch. The shim of rquickjs for this target calls it.
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    let now = wall_clock::now();
    now.seconds as f64 * 1e6 + f64::from(now.nanoseconds / 1000)
}
