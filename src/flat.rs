//! Work that ends a wait, done one after the other and not inside each other.
//!
//! What a granted lock lets go on may end another wait, and so on down a long line; inside each other they would fill the stack.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::sync::thread_local;

type Job = Box<dyn FnOnce()>;

thread_local! {
    /// Work that came while other work was done on this thread; `None` while none is.
    static WAITING: RefCell<Option<VecDeque<Job>>> = const { RefCell::new(None) };
}

/// Does some work now, or, where other such work is being done on this thread, right after it.
pub fn run(job: impl FnOnce() + 'static) {
    let mut job = Some(job);
    let begins = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        match &mut *waiting {
            Some(waiting) => {
                waiting.extend(job.take().map(|job| Box::new(job) as Job));
                false
            }
            None => {
                *waiting = Some(VecDeque::new());
                true
            }
        }
    });
    // Without the list the thread is at its end, and there is little left to do.
    let Some(job) = job else { return };
    if begins.is_err() {
        return job();
    }
    let _done = Done;
    job();
    while let Some(next) = WAITING.with(|waiting| waiting.borrow_mut().as_mut().and_then(VecDeque::pop_front)) {
        next();
    }
}

/// Leaves the thread ready for more, also after a panic.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        WAITING.with(|waiting| waiting.borrow_mut().take());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn work_that_makes_work_does_not_nest() {
        fn step(left: u32, order: &Rc<RefCell<Vec<u32>>>) {
            let order = Rc::clone(order);
            super::run(move || {
                order.borrow_mut().push(left);
                if left > 0 {
                    step(left - 1, &order);
                    step(0, &order);
                }
            });
        }
        let order = Rc::default();
        step(100_000, &order);
        assert_eq!(order.borrow().len(), 200_001);
        assert_eq!(order.borrow().first_chunk(), Some(&[100_000, 99_999, 0, 99_998]));
    }
}
