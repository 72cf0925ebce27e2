//! The script that every [`Ledger`] has to pass, with the same answers.

use super::{Ask, Book, End, Exceeded, Ledger, Reservation, Reserved, Wanted};
use alloy::primitives::{Address, FixedBytes, U256};
use session_key_client::journal::{IntentId, Scope};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Runs every check, each on an empty ledger of its own.
///
/// # Panics
///
/// If the ledger fails one.
pub async fn run<M, F>(make: M)
where
    M: Fn() -> F,
    F: Future<Output = Arc<dyn Ledger>>,
{
    a_window_is_reserved_until_it_is_full(&*make().await).await;
    what_is_released_is_free_and_what_is_spent_passes(&*make().await).await;
    an_intent_has_one_reservation(&*make().await).await;
    books_and_subjects_are_counted_apart(&*make().await).await;
    all_windows_or_none(&*make().await).await;
    what_has_passed_is_pruned(&*make().await).await;
    amounts_and_words_are_kept(&*make().await).await;
    many_writers_do_not_overshoot(make().await).await;
}

fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn intent() -> IntentId {
    IntentId(FixedBytes::left_padding_from(&fresh().to_be_bytes()))
}

fn book() -> Book {
    Book {
        scope: Scope {
            chain_id: u64::MAX,
            account: Address::left_padding_from(&fresh().to_be_bytes()),
            signer: Address::repeat_byte(7),
        },
        group: String::new(),
    }
}

fn ask(subject: &str, amount: u64, most: u64, length: u64) -> Ask {
    Ask {
        subject: subject.to_owned(),
        amount: U256::from(amount),
        windows: vec![(U256::from(most), length)],
    }
}

fn wanted(asks: Vec<Ask>) -> Wanted {
    Wanted {
        intent: intent(),
        name: None,
        until: 1_000,
        asks,
        forced: false,
    }
}

async fn made(ledger: &dyn Ledger, book: &Book, wanted: Wanted, now: u64) -> Reservation {
    match ledger.reserve(book, wanted, now).await.unwrap() {
        Reserved::Made(reservation) => reservation,
        other => panic!("it should fit: {other:?}"),
    }
}

async fn joined(ledger: &dyn Ledger, book: &Book, wanted: Wanted, now: u64) -> Reservation {
    match ledger.reserve(book, wanted, now).await.unwrap() {
        Reserved::Joined(reservation) => reservation,
        other => panic!("it should join: {other:?}"),
    }
}

async fn exceeded(ledger: &dyn Ledger, book: &Book, wanted: Wanted, now: u64) -> Vec<Exceeded> {
    match ledger.reserve(book, wanted, now).await.unwrap() {
        Reserved::Exceeded(exceeded) => exceeded,
        made => panic!("it should not fit: {made:?}"),
    }
}

async fn a_window_is_reserved_until_it_is_full(ledger: &dyn Ledger) {
    let book = book();
    let seven = || wanted(vec![ask("a", 7, 100, 50)]);
    let mut reservations = Vec::new();
    for _ in 0..14 {
        reservations.push(made(ledger, &book, seven(), 10).await);
    }
    assert_eq!(ledger.undecided(&book).await.unwrap(), reservations);
    let undecided = ledger.undecided(&book).await.unwrap();
    let probed = ledger.exceeded(&book, seven().asks, 10).await.unwrap();
    let answer = exceeded(ledger, &book, seven(), 10).await;
    assert_eq!(answer, probed);
    let fits = vec![ask("a", 2, 100, 50)];
    assert_eq!(ledger.exceeded(&book, fits, 10).await.unwrap(), []);
    assert_eq!(
        ledger.undecided(&book).await.unwrap(),
        undecided,
        "asking reserves nothing"
    );
    let expected = Exceeded {
        subject: "a".to_owned(),
        most: U256::from(100),
        length: 50,
        used: U256::from(98),
        passes_from: Some(60),
    };
    assert_eq!(answer, [expected]);
    assert_eq!(ledger.used(&book, "a", 50, 10).await.unwrap(), U256::from(98));
    made(ledger, &book, wanted(vec![ask("a", 2, 100, 50)]), 10).await;
    exceeded(ledger, &book, wanted(vec![ask("a", 1, 100, 50)]), 10).await;
    // What may be on its way is counted, whatever is left.
    let forced = Wanted {
        forced: true,
        ..seven()
    };
    made(ledger, &book, forced, 10).await;
    assert_eq!(ledger.used(&book, "a", 50, 10).await.unwrap(), U256::from(107));
    let never = exceeded(ledger, &book, wanted(vec![ask("a", 101, 100, 50)]), 10).await;
    assert_eq!(never[0].passes_from, None);
}

async fn what_is_released_is_free_and_what_is_spent_passes(ledger: &dyn Ledger) {
    let book = book();
    let five = || wanted(vec![ask("a", 5, 10, 100)]);
    let first = made(ledger, &book, five(), 0).await;
    let second = made(ledger, &book, five(), 0).await;
    ledger.end(&book, first.intent, End::Released).await.unwrap();
    let third = made(ledger, &book, five(), 1).await;
    ledger
        .end(&book, second.intent, End::Spent { at: 20 })
        .await
        .unwrap();
    // It has ended: nothing changes it any more.
    ledger.end(&book, second.intent, End::Released).await.unwrap();
    ledger
        .end(&book, second.intent, End::Spent { at: 90 })
        .await
        .unwrap();
    ledger.end(&book, intent(), End::Released).await.unwrap();
    assert_eq!(ledger.undecided(&book).await.unwrap(), [third]);
    let answer = exceeded(ledger, &book, five(), 119).await;
    assert_eq!(
        (answer[0].used, answer[0].passes_from),
        (U256::from(10), Some(120))
    );
    made(ledger, &book, five(), 120).await;
}

async fn an_intent_has_one_reservation(ledger: &dyn Ledger) {
    let book = book();
    let first = Wanted {
        name: Some("rent \0 ä".to_owned()),
        ..wanted(vec![ask("a", 6, 10, 100)])
    };
    let made_first = made(ledger, &book, first.clone(), 0).await;
    assert_eq!((made_first.intent, made_first.until), (first.intent, 1_000));
    // The same intent, and the same name of another process: extended, and not counted twice.
    assert_eq!(made(ledger, &book, first.clone(), 1).await, made_first);
    let again = Wanted {
        intent: intent(),
        until: 2_000,
        ..first.clone()
    };
    let extended = joined(ledger, &book, again.clone(), 1).await;
    assert_eq!(
        extended,
        Reservation {
            intent: again.intent,
            name: first.name.clone(),
            until: 2_000
        }
    );
    assert_eq!(
        ledger.undecided(&book).await.unwrap(),
        std::slice::from_ref(&extended)
    );
    assert_eq!(ledger.used(&book, "a", 100, 1).await.unwrap(), U256::from(6));
    // Whoever made it has another id by now, and cannot end it.
    for end in [End::Released, End::Spent { at: 1 }] {
        ledger.end(&book, first.intent, end).await.unwrap();
    }
    assert_eq!(
        ledger.undecided(&book).await.unwrap(),
        std::slice::from_ref(&extended)
    );
    // Other amounts under the name are counted on their own.
    let other = |amount: u64, subject: &str| Wanted {
        intent: intent(),
        asks: vec![ask(subject, amount, 10, 100)],
        ..first.clone()
    };
    let small = made(ledger, &book, other(4, "a"), 1).await;
    exceeded(ledger, &book, other(7, "a"), 1).await;
    let elsewhere = made(ledger, &book, other(6, "b"), 1).await;
    assert_eq!(ledger.used(&book, "a", 100, 1).await.unwrap(), U256::from(10));
    // An own reservation comes before another of the name.
    let own = Wanted {
        intent: small.intent,
        ..first.clone()
    };
    assert_eq!(made(ledger, &book, own, 1).await, small);
    for reservation in [small, elsewhere] {
        ledger
            .end(&book, reservation.intent, End::Released)
            .await
            .unwrap();
    }
    assert_eq!(ledger.undecided(&book).await.unwrap(), [extended]);
    // Once it is decided, the name can be used again, and counts again.
    ledger
        .end(&book, again.intent, End::Spent { at: 5 })
        .await
        .unwrap();
    exceeded(
        ledger,
        &book,
        Wanted {
            intent: intent(),
            ..first.clone()
        },
        6,
    )
    .await;
    made(
        ledger,
        &book,
        Wanted {
            intent: intent(),
            ..first
        },
        105,
    )
    .await;
    assert_eq!(ledger.undecided(&book).await.unwrap().len(), 1);
}

async fn books_and_subjects_are_counted_apart(ledger: &dyn Ledger) {
    let first = book();
    let mut books = vec![first.clone(), book()];
    for change in 0..3 {
        let mut other = first.clone();
        match change {
            0 => other.group = "another".to_owned(),
            1 => other.scope.chain_id = 1,
            _ => other.scope.signer = Address::ZERO,
        }
        books.push(other);
    }
    for book in &books {
        for subject in ["a", "A", "a b", ""] {
            made(ledger, book, wanted(vec![ask(subject, 1, 1, 100)]), 0).await;
            exceeded(ledger, book, wanted(vec![ask(subject, 1, 1, 100)]), 0).await;
        }
    }
    let undecided = ledger.undecided(&first).await.unwrap();
    assert_eq!(undecided.len(), 4);
    ledger
        .end(&books[1], undecided[0].intent, End::Released)
        .await
        .unwrap();
    assert_eq!(
        ledger.undecided(&first).await.unwrap(),
        undecided,
        "it is not of that book"
    );
}

async fn all_windows_or_none(ledger: &dyn Ledger) {
    let book = book();
    let both = |amount: u64| {
        let short = ask("a", amount, 10, 10);
        let long = (U256::from(15), 100);
        let ask_a = Ask {
            windows: vec![short.windows[0], long],
            ..short
        };
        wanted(vec![ask_a, ask("b", 1, 3, 1_000)])
    };
    let first = made(ledger, &book, both(10), 0).await;
    ledger
        .end(&book, first.intent, End::Spent { at: 0 })
        .await
        .unwrap();
    let answer = exceeded(ledger, &book, both(6), 10).await;
    assert_eq!(answer.len(), 1, "the short window has passed");
    assert_eq!((answer[0].length, answer[0].passes_from), (100, Some(100)));
    assert_eq!(
        ledger.used(&book, "b", 1_000, 10).await.unwrap(),
        U256::ONE,
        "nothing was reserved"
    );
    made(ledger, &book, both(5), 10).await;
    let answer = exceeded(ledger, &book, both(6), 11).await;
    assert_eq!(answer.len(), 2);
}

async fn what_has_passed_is_pruned(ledger: &dyn Ledger) {
    let book = book();
    let first = made(ledger, &book, wanted(vec![ask("a", 1, 9, 100)]), 0).await;
    let second = made(ledger, &book, wanted(vec![ask("a", 2, 9, 100)]), 0).await;
    made(ledger, &book, wanted(vec![ask("a", 4, 9, 100)]), 0).await;
    ledger
        .end(&book, first.intent, End::Spent { at: 0 })
        .await
        .unwrap();
    ledger
        .end(&book, second.intent, End::Spent { at: 1 })
        .await
        .unwrap();
    ledger.prune(&book, 100, 100).await.unwrap();
    assert_eq!(
        ledger.used(&book, "a", u64::MAX, 100).await.unwrap(),
        U256::from(6)
    );
    ledger.prune(&book, 0, u64::MAX).await.unwrap();
    assert_eq!(
        ledger.used(&book, "a", u64::MAX, 100).await.unwrap(),
        U256::from(4)
    );
}

async fn amounts_and_words_are_kept(ledger: &dyn Ledger) {
    let book = Book {
        group: "'; DROP TABLE ledger; -- \0 \u{1f511}".to_owned(),
        ..book()
    };
    let subject = "'; -- \0 \u{1f511}".to_owned() + &"long ".repeat(1_000);
    let asks = vec![Ask {
        subject: subject.clone(),
        amount: U256::MAX,
        windows: vec![(U256::MAX, u64::MAX)],
    }];
    let wanted = Wanted {
        name: Some("long ".repeat(5_000)),
        until: u64::MAX,
        ..wanted(asks)
    };
    let reservation = made(ledger, &book, wanted.clone(), u64::MAX).await;
    assert_eq!((&reservation.name, reservation.until), (&wanted.name, u64::MAX));
    assert_eq!(ledger.undecided(&book).await.unwrap(), [reservation]);
    assert_eq!(ledger.used(&book, &subject, 1, 0).await.unwrap(), U256::MAX);
}

async fn many_writers_do_not_overshoot(ledger: Arc<dyn Ledger>) {
    let book = book();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (ledger, book) = (ledger.clone(), book.clone());
            tokio::spawn(async move {
                let answer = ledger
                    .reserve(&book, wanted(vec![ask("a", 7, 100, 50)]), 10)
                    .await;
                matches!(answer.unwrap(), Reserved::Made(_))
            })
        })
        .collect();
    let mut served = 0;
    for task in tasks {
        served += usize::from(task.await.unwrap());
    }
    assert_eq!(served, 14);
    assert_eq!(ledger.used(&book, "a", 50, 10).await.unwrap(), U256::from(98));
}
