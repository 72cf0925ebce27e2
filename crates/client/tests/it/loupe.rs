//! What is installed on an account.

use crate::fixture::{Fixture, RECIPIENT};
use session_key_client::{
    SmartAccount,
    account::ReadError,
    calldata::FunctionReference,
    permissions::{EXECUTE_WITH_SESSION_KEY, Permissions},
};

#[tokio::test]
async fn the_loupe_shows_what_is_installed() {
    let (fixture, _) = Fixture::with_key(Permissions::new()).await;
    let (account, stack) = (&fixture.account, &fixture.stack);
    assert_eq!(
        account.installed_plugins().await.unwrap(),
        [stack.session_key_plugin, stack.multi_owner_plugin]
    );
    let config = account
        .execution_function_config(EXECUTE_WITH_SESSION_KEY)
        .await
        .unwrap();
    assert_eq!(config.plugin, stack.session_key_plugin);
    assert_eq!(
        config.user_op_validation_function,
        FunctionReference::new(stack.session_key_plugin, 0)
    );
    let (user_op, runtime) = account
        .pre_validation_hooks(EXECUTE_WITH_SESSION_KEY)
        .await
        .unwrap();
    assert_eq!((user_op.len(), runtime.len()), (0, 1));
    assert!(
        account
            .execution_hooks(EXECUTE_WITH_SESSION_KEY)
            .await
            .unwrap()
            .is_empty()
    );
    // An error is an error: nothing is there to answer.
    let nobody = SmartAccount::new(
        fixture.testkit.provider(),
        31337,
        RECIPIENT,
        *account.deployment(),
    );
    assert!(matches!(
        nobody.installed_plugins().await,
        Err(ReadError::UnexpectedAnswer { .. })
    ));
}
