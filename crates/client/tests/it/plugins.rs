//! The session key plugin as any plugin of a v0.7 account.

use crate::fixture::{Fixture, assert_key_not_found, assert_would_revert, key};
use session_key_client::{
    NewSessionKey, OwnerAction, Revert,
    alloy::primitives::{B256, Bytes},
    calldata::{self, UninstallConfig},
    deployment::manifest_hash,
    permissions::Permissions,
    revert::AccountError,
};

/// The plugin as any plugin: whichever action installs it, the keys are followed.
#[tokio::test]
async fn predecessors_follow_installations_in_a_batch() {
    let fixture = Fixture::new().await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|number| key(number).address());
    let new = |key| NewSessionKey::new(key, &Permissions::new()).unwrap();
    let plugin = fixture.stack.session_key_plugin;
    let install = |keys: &[NewSessionKey]| OwnerAction::InstallPlugin {
        plugin,
        manifest_hash: None,
        install_data: calldata::session_key_plugin_install_data(keys),
        dependencies: calldata::owner_dependencies(fixture.stack.multi_owner_plugin).to_vec(),
    };
    let install_known = |keys: Vec<NewSessionKey>| OwnerAction::InstallSessionKeyPlugin {
        keys,
        manifest_hash: None,
        dependencies: None,
    };
    let uninstall = || OwnerAction::UninstallPlugin {
        plugin,
        config: UninstallConfig::default(),
        uninstall_data: Bytes::new(),
    };
    owner
        .batch([
            install(&[new(a), new(b), new(c)]),
            OwnerAction::RemoveSessionKey(a),
        ])
        .await
        .unwrap();
    assert_eq!(account.session_keys().await.unwrap(), [c, b]);

    owner
        .batch([
            uninstall(),
            install(&[new(d), new(b)]),
            OwnerAction::RotateSessionKey { old: d, new: e },
            OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default()),
            install_known(vec![new(c), new(d), new(a)]),
            OwnerAction::RemoveSessionKey(d),
        ])
        .await
        .unwrap();
    assert_eq!(account.session_keys().await.unwrap(), [a, c]);

    // Neither leaves a key behind.
    for uninstall in [
        uninstall(),
        OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default()),
    ] {
        for installation in [install(&[new(b)]), install_known(vec![new(b)])] {
            let actions = [uninstall.clone(), installation, OwnerAction::RemoveSessionKey(a)];
            for actions in [
                &[uninstall.clone(), OwnerAction::RemoveSessionKey(a)][..],
                &actions,
            ] {
                let error = owner.batch(actions.to_vec()).build().await.unwrap_err();
                assert_key_not_found(&error, a);
            }
        }
    }
}

#[tokio::test]
async fn an_owner_consents_to_the_manifest_that_is_given() {
    let fixture = Fixture::new().await;
    let install = |manifest_hash| OwnerAction::InstallSessionKeyPlugin {
        keys: vec![NewSessionKey::new(key(1).address(), &Permissions::new()).unwrap()],
        manifest_hash,
        dependencies: None,
    };
    let data = |manifest_hash| {
        let actions = [install(manifest_hash)];
        async { fixture.owner.batch(actions).build().await }
    };
    let error = data(Some(B256::repeat_byte(5))).await.unwrap_err();
    assert_would_revert(error, &Revert::Account(AccountError::InvalidPluginManifest));
    let known = data(Some(manifest_hash::SESSION_KEY_PLUGIN)).await.unwrap();
    assert_eq!(data(None).await.unwrap().call_data, known.call_data);
    fixture
        .owner
        .batch([install(Some(manifest_hash::SESSION_KEY_PLUGIN))])
        .await
        .unwrap();
    assert!(fixture.account.is_session_key(key(1).address()).await.unwrap());
}
