//! The calls that every transaction makes, registered with Node-API by hand. They take numbers and give one, and what is generated
//! around a call of that kind takes three times as long as handing the numbers over.

use std::ffi::CStr;
use std::ptr;

use napi::bindgen_prelude::Object;
use napi::{Env, JsValue, Result, check_status, sys};
use napi_derive::napi;

use super::{FAILED, port};
use crate::error::or_panic;

/// Functions of a thread's load of the addon.
///
/// `begin` begins a transaction, inside another one where `around` is not 0. Its label is the first `length` bytes of the scratch
/// buffer, none where there are none. Gives its handle; the negative of the handle, less one, where it waits for its locks and the
/// ticket will be settled. `settings`: bits 0 to 15 are the families whose reads take locks, by code; 16 takes the locks of writes at
/// the commit; 17 commits by itself inside a transaction of the same account; 18 is a deadlock's last choice.
///
/// `get` reads values. The request, `length` bytes at the start of the scratch buffer, holds `u16` length and key for each id; the
/// answer follows it, with `u32` length (all ones: absent) and value for each. Gives the answer's length; -2 where it did
/// not fit and waits for `copyOverflow`; -3 where the disk has to be waited for and -4 where a lock has: `ticketAnswer` moves it to
/// where `copyOverflow` takes it from when the ticket has been settled. A `transaction` of 0 reads what is committed; its handle reads
/// as part of it; the handle's negative sees what it sees and takes no part, or, with the account's handle negative too, takes part
/// without locks of its own.
///
/// `set` applies the packed operations in the first `length` bytes of the scratch buffer, or stages them in a transaction.
///
/// `commit` commits a transaction. Call `takeSettled` after it: what it lets go on does not wake this thread. Forgets its handle,
/// unless it has to wait: then `rollback` forgets it, when it has ended.
///
/// `joined` gives 1 where a transaction that was to be independent commits with the one around it, else 0.
#[napi(
    catch_unwind,
    ts_return_type = "{ begin(port: number, account: number, around: number, length: number, settings: number, ticket: number): number, \
                      get(port: number, account: number, transaction: number, length: number, ticket: number): number, \
                      set(port: number, account: number, transaction: number, length: number, ticket: number): number, \
                      commit(port: number, transaction: number, ticket: number): number, \
                      joined(port: number, transaction: number): number }"
)]
pub fn hot_calls(env: &Env) -> Result<Object<'_>> {
    let calls = Object::new(env)?;
    add(env, &calls, c"begin", begin)?;
    add(env, &calls, c"get", get)?;
    add(env, &calls, c"set", set)?;
    add(env, &calls, c"commit", commit)?;
    add(env, &calls, c"joined", joined)?;
    Ok(calls)
}

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

fn add(env: &Env, calls: &Object<'_>, name: &CStr, call: Callback) -> Result<()> {
    let mut function = ptr::null_mut();
    let length = name.count_bytes() as isize;
    // SAFETY: the environment is that of the running call, the name lives for ever, and `function` is written before it is read.
    check_status!(unsafe {
        sys::napi_create_function(env.raw(), name.as_ptr(), length, Some(call), ptr::null_mut(), &mut function)
    })?;
    // SAFETY: both are values of this environment and of the running call.
    check_status!(unsafe { sys::napi_set_named_property(env.raw(), calls.raw(), name.as_ptr(), function) })
}

unsafe extern "C" fn begin(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |[port, account, around, length, settings, ticket]| {
        super::begin(port as u32, account, around, length as u32, settings as u32, ticket as u32)
    })
}

unsafe extern "C" fn get(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |[port, account, transaction, length, ticket]| {
        super::get(port as u32, account, transaction, length as u32, ticket as u32)
    })
}

unsafe extern "C" fn set(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |[port, account, transaction, length, ticket]| {
        super::set(port as u32, account, transaction, length as u32, ticket as u32)
    })
}

unsafe extern "C" fn commit(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |[port, transaction, ticket]| super::commit(port as u32, transaction, ticket as u32))
}

unsafe extern "C" fn joined(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |[port, transaction]| i32::from(super::joined(port as u32, transaction)))
}

/// Does the work of a call that takes `N` numbers. What is left out or no number is 0.
fn answer<const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    work: impl FnOnce([i32; N]) -> i32,
) -> sys::napi_value {
    let (mut given, mut count) = ([ptr::null_mut(); N], N);
    // SAFETY: Node-API calls this with the environment and the call that is being made, and writes no more than `count` values.
    unsafe { sys::napi_get_cb_info(env, info, &mut count, given.as_mut_ptr(), ptr::null_mut(), ptr::null_mut()) };
    let numbers = given.map(|value| {
        let mut number = 0;
        // SAFETY: the value is one of this call; where it is no number, nothing is written.
        unsafe { sys::napi_get_value_int32(env, value, &mut number) };
        number
    });
    let number = or_panic(|| Ok(work(numbers))).unwrap_or_else(|error| {
        let port = numbers.first().and_then(|port| port::find(*port as u32));
        port.map_or(FAILED, |port| port.fail(error))
    });
    let mut answer = ptr::null_mut();
    // SAFETY: the environment is that of the running call.
    unsafe { sys::napi_create_int32(env, number, &mut answer) };
    answer
}
