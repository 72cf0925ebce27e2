//! Turns: clients take turns on the key's lane, whatever each has waiting.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// The lane is one client's until this is dropped.
#[derive(Debug)]
struct Slot(Arc<Queue>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state().is_taken = false;
        self.0.clone().next();
    }
}

/// A part of a turn: the turn ends with its last part.
#[derive(Debug)]
pub(crate) struct Turn {
    _slot: Arc<Slot>,
}

#[derive(Debug)]
struct Line {
    /// How many share a turn.
    together: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

#[derive(Debug)]
struct State {
    is_taken: bool,
    /// The clients that wait, in order.
    order: VecDeque<usize>,
    lines: Vec<Line>,
}

/// One line for each client. A client whose turn it was waits behind all others that wait.
#[derive(Debug)]
pub(crate) struct Queue(Mutex<State>);

impl Queue {
    /// `together`: how many requests of each client share a turn.
    pub(crate) fn new(together: impl IntoIterator<Item = usize>) -> Arc<Self> {
        let lines = together.into_iter().map(|together| Line {
            together: together.max(1),
            waiting: VecDeque::new(),
        });
        Arc::new(Self(Mutex::new(State {
            is_taken: false,
            order: VecDeque::new(),
            lines: lines.collect(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the client's turn. `None`: there is no such client. Whoever stops waiting loses its place.
    pub(crate) async fn turn(self: &Arc<Self>, client: usize) -> Option<Turn> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state();
            let line = state.lines.get_mut(client)?;
            line.waiting.push_back(sender);
            if !state.order.contains(&client) {
                state.order.push_back(client);
            }
        }
        self.clone().next();
        receiver.await.ok()
    }

    /// Gives the next turn, if the lane is free.
    fn next(self: Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.is_taken {
                return;
            }
            let Some(client) = state.order.pop_front() else {
                return;
            };
            let Some(line) = state.lines.get_mut(client) else {
                continue;
            };
            line.waiting.retain(|waiting| !waiting.is_closed());
            let count = line.together.min(line.waiting.len());
            let chosen: Vec<_> = line.waiting.drain(..count).collect();
            if !line.waiting.is_empty() {
                state.order.push_back(client);
            }
            if chosen.is_empty() {
                continue;
            }
            state.is_taken = true;
            drop(state);
            let slot = Arc::new(Slot(self.clone()));
            for waiting in chosen {
                // If it has just gone, its part ends here.
                let _ = waiting.send(Turn { _slot: slot.clone() });
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn a_client_with_one_request_waits_for_one_turn_of_each_other() {
        let queue = Queue::new([1, 1]);
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for client in [0; 20].into_iter().chain([1]) {
            let (queue, served) = (queue.clone(), served.clone());
            tasks.push(tokio::spawn(async move {
                let turn = queue.turn(client).await.unwrap();
                served.lock().unwrap().push(client);
                sleep(Duration::from_millis(1)).await;
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let served = served.lock().unwrap();
        let place = served.iter().position(|client| *client == 1).unwrap();
        assert!(place <= 2, "{served:?}");
        assert_eq!(served.len(), 21);
    }

    #[tokio::test]
    async fn requests_of_a_client_share_a_turn_and_never_with_another() {
        let queue = Queue::new([16, 16]);
        let first = queue.turn(0).await.unwrap();
        let waiting: Vec<_> = [0, 1, 0, 1]
            .into_iter()
            .map(|client| {
                let queue = queue.clone();
                tokio::spawn(async move { (client, queue.turn(client).await.unwrap()) })
            })
            .collect();
        sleep(Duration::from_millis(20)).await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop(first);
        sleep(Duration::from_millis(20)).await;
        let done: Vec<bool> = waiting.iter().map(tokio::task::JoinHandle::is_finished).collect();
        assert_eq!(done, [true, false, true, false]);
    }

    #[tokio::test]
    async fn whoever_goes_away_keeps_nobody_waiting() {
        let queue = Queue::new([1, 1]);
        let first = queue.turn(0).await.unwrap();
        for _ in 0..10 {
            assert!(timeout(Duration::from_millis(1), queue.turn(0)).await.is_err());
        }
        drop(first);
        drop(timeout(Duration::from_secs(1), queue.turn(1)).await.unwrap());
        drop(timeout(Duration::from_secs(1), queue.turn(0)).await.unwrap());
        assert!(queue.turn(2).await.is_none());
    }
}
