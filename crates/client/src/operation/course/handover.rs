//! What is known of an operation after it was handed over.

use crate::{
    journal::Handover,
    operation::{NotTaken, NotTakenReason},
    permissions::AaCode,
    submit::Sent,
};

/// How far an operation came, after it was handed over. Only the very first time, by whoever has just written it down, can show that it
/// never left: it is not known how far another hand-over came that was cut off.
pub(in crate::operation) fn handover_after(before: Handover, sent: &Sent, is_first: bool) -> Handover {
    match sent {
        Sent::Taken => Handover::InPool,
        // What may have left before may still be out there.
        Sent::NeverLeft { .. } => match before {
            Handover::Written if is_first => Handover::NeverLeft,
            Handover::Written => Handover::NoAnswer,
            before => before,
        },
        Sent::NoAnswer { .. } => match before {
            Handover::InPool => Handover::InPool,
            _ => Handover::NoAnswer,
        },
        Sent::NotTaken(reason) => match before {
            // A refusal of what was taken before can have its cause in that.
            Handover::InPool | Handover::NoAnswer if can_come_from_inclusion(reason) => before,
            _ => Handover::NotTaken(reason.clone()),
        },
    }
}

/// Whether an operation's own inclusion, or its being on the way, can be why it is not taken once more.
const fn can_come_from_inclusion(reason: &NotTaken) -> bool {
    match &reason.reason {
        NotTakenReason::Refused(refusal) => matches!(
            refusal.code,
            Some(
                AaCode::InvalidNonce
                    | AaCode::SenderAlreadyConstructed
                    | AaCode::PrefundNotPaid
                    | AaCode::ExpiredOrNotDue
                    | AaCode::AccountReverted
            )
        ),
        NotTakenReason::ReplacementUnderpriced | NotTakenReason::Funds | NotTakenReason::NonceAhead => true,
        NotTakenReason::Other => true,
        _ => false,
    }
}

/// Whether an operation is in a pool, or nobody said what became of it.
pub(super) const fn is_waiting(handover: &Handover) -> bool {
    matches!(
        handover,
        Handover::Written | Handover::NoAnswer | Handover::InPool
    )
}
