//! Form Post OP: `oidcc-formpost-basic-certification-test-plan`, the modules of Basic OP with `response_mode=form_post`.

use super::{Mode, plan};

plan! {
    Mode::FormPost;
    modules_of_codes:
        oidcc_server, oidcc_server_client_secret_post, oidcc_ensure_post_request_succeeds,
        oidcc_ensure_request_with_valid_pkce_succeeds, oidcc_codereuse, oidcc_codereuse_30seconds,
        oidcc_refresh_token;
    modules_of_claims:
        oidcc_idtoken_signature, oidcc_idtoken_unsigned, oidcc_userinfo_get,
        oidcc_userinfo_post_header, oidcc_userinfo_post_body, oidcc_scope_profile,
        oidcc_scope_email, oidcc_scope_address, oidcc_scope_phone, oidcc_scope_all,
        oidcc_ensure_other_scope_order_succeeds, oidcc_alternate_happy_flow,
        oidcc_claims_essential;
    modules_of_requests:
        oidcc_response_type_missing, oidcc_display_page, oidcc_display_popup, oidcc_prompt_login,
        oidcc_prompt_none_not_logged_in, oidcc_prompt_none_logged_in, oidcc_max_age_1,
        oidcc_max_age_10000, oidcc_ensure_request_with_unknown_parameter_succeeds,
        oidcc_id_token_hint, oidcc_login_hint, oidcc_ui_locales, oidcc_claims_locales,
        oidcc_ensure_request_with_acr_values_succeeds, oidcc_ensure_registered_redirect_uri,
        oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported,
        oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported,
        oidcc_ensure_request_object_with_redirect_uri;
}
