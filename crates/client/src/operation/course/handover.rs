//! The state of an operation after it was handed over.

use crate::{
    journal::Handover,
    operation::{NotTaken, NotTakenReason},
    permissions::AaCode,
    submit::Sent,
};

/// Returns how far an operation got after it was handed over. Only the first hand-over, by the process that
/// has just recorded it, can show that it never left: an earlier interrupted hand-over may have got any
/// distance.
pub(in crate::operation) fn handover_after(before: Handover, sent: &Sent, is_first: bool) -> Handover {
    match sent {
        Sent::Taken => Handover::InPool,
        // An operation that may have left before may still be out there.
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
            // A refusal of an accepted operation may be caused by its acceptance.
            Handover::InPool | Handover::NoAnswer if can_come_from_inclusion(reason) => before,
            _ => Handover::NotTaken(reason.clone()),
        },
    }
}

/// Whether a refusal can be caused by the operation's own inclusion, or by its being pending.
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

/// Whether an operation is in a pool, or its state is unknown.
pub(super) const fn is_waiting(handover: &Handover) -> bool {
    matches!(
        handover,
        Handover::Written | Handover::NoAnswer | Handover::InPool
    )
}
