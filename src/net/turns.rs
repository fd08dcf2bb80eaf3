//! Whose TLS handshake begins next.
//!
//! A handshake costs the only thread a millisecond or more. In each round of the reactor a few may begin; who waits goes behind everybody for whom
//! something arrived, so those who are in are served between two batches of those who come.

use crate::limits;
use async_io::Timer;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Long enough that the timer is not over before it is waited for; only the reactor ends it.
const ROUND: Duration = Duration::from_micros(50);

/// Turns of the present round, and who waits for the next.
pub struct Turns {
    left: Cell<u32>,
    waiting: RefCell<VecDeque<Waker>>,
    pacer: RefCell<Option<Waker>>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns {
            left: Cell::new(limits::HANDSHAKES_A_ROUND),
            waiting: RefCell::default(),
            pacer: RefCell::default(),
        }
    }
}

impl Turns {
    /// Takes a turn of this round; without one the task is woken in a later round, to ask again.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pacer) = self.pacer.borrow_mut().take() {
            pacer.wake();
        }
        match self.left.get() {
            0 => {
                self.waiting.borrow_mut().push_back(cx.waker().clone());
                Poll::Pending
            }
            left => {
                self.left.set(left - 1);
                Poll::Ready(())
            }
        }
    }

    /// Gives out the turns, round by round; sleeps while nobody takes any.
    pub async fn pace(&self) {
        loop {
            // A round ends when the reactor was asked again and everybody whom that woke stands in the queue. Yielding alone would not
            // do: the executor looks at the reactor only after 200 tasks, and those could all be handshakes.
            Timer::after(ROUND).await;
            self.left.set(limits::HANDSHAKES_A_ROUND);
            for _ in 0..limits::HANDSHAKES_A_ROUND {
                let Some(next) = self.waiting.borrow_mut().pop_front() else {
                    break;
                };
                next.wake();
            }
            if self.waiting.borrow().is_empty() {
                let mut slept = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut slept, true) {
                        return Poll::Ready(());
                    }
                    *self.pacer.borrow_mut() = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn all_get_a_turn_and_no_round_has_more_than_its_share() {
        let executor = smol::LocalExecutor::new();
        let turns = Rc::new(Turns::default());
        let round = Rc::new(Cell::new(0));
        let begun = Rc::new(RefCell::new(Vec::new()));
        let pacer = turns.clone();
        executor.spawn(async move { pacer.pace().await }).detach();
        // Stands for those who are in: woken by the reactor, once a round.
        let counter = round.clone();
        executor
            .spawn(async move {
                loop {
                    counter.set(counter.get() + 1);
                    Timer::after(Duration::from_nanos(1)).await;
                    futures_lite::future::yield_now().await;
                }
            })
            .detach();
        let total = limits::HANDSHAKES_A_ROUND as usize * 10 + 1;
        let tasks: Vec<_> = (0..total)
            .map(|_| {
                let (turns, round, begun) = (turns.clone(), round.clone(), begun.clone());
                executor.spawn(async move {
                    poll_fn(|cx| turns.poll_take(cx)).await;
                    begun.borrow_mut().push(round.get());
                })
            })
            .collect();
        smol::block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
        let begun = begun.borrow();
        assert_eq!(begun.len(), total);
        let most = begun
            .iter()
            .map(|at| begun.iter().filter(|other| *other == at).count())
            .max()
            .unwrap();
        assert!(
            most <= limits::HANDSHAKES_A_ROUND as usize + 1,
            "{most} in one round"
        );
    }
}
