# Every sentence of the pages and mails. A text with an attribute `.message` is a heading and what follows it;
# one with `.text` is the subject of a mail and its first paragraph.

## The frame
skip = Skip to the content
nav-label = Main
nav-apps = Apps
nav-sessions = Devices
nav-account = Account
nav-security = Security
sign-out = Sign out
help = Help
title-error = Error: { $title }

## Words of many pages
or = or
cancel = Cancel
continue = Continue
save = Save
show = Show
remove = Remove
rename = Rename
older = Older
on = On
copy = Copy
copied = Copied
not-now = Not now
email = Email address
password = Password
password-show = Show
password-hide = Hide
name = Name
name-optional = Name (optional)
back-to-sign-in = Back to sign-in
to-your-apps = Go to your apps
form-problem = There is a problem
form-expired = This page had been open for too long. Please try again.
time-now = just now
time-minutes = { $count ->
    [one] { $count } minute ago
   *[other] { $count } minutes ago
}
time-hours = { $count ->
    [one] { $count } hour ago
   *[other] { $count } hours ago
}
time-days = { $count ->
    [one] { $count } day ago
   *[other] { $count } days ago
}
months = January February March April May June July August September October November December
moment = { $day } { $month } { $year }, { $time } { $zone }
agent = { $name } on { $system }
agent-name = { $name }
agent-system = A browser on { $system }
agent-unknown = An unknown browser
place-browser = { $agent }, { $ip }
place-server = the app’s server, { $ip }
place-operator = an administrator

## Signing in
login-title = Sign in
to-continue = to continue to { $app }
login-submit = Sign in
login-forgot = Forgot your password?
login-passkey = Sign in with a passkey
login-by-mail = Get a sign-in code by email
login-no-account = No account yet?
login-register = Create one
wrong-sign-in = Incorrect email or password.
wrong-passkey = That passkey did not work. Try again, or use your password.
unknown-passkey = This passkey was removed from your account. Use another one, or your password.
passkey-failed = Nothing was signed. Try again, or choose another way.
done-signed-out = You are signed out.
done-signed-out-everywhere = You are signed out on all devices.
done-password-reset = Your password was changed. Sign in with the new one.
signed-in = You are signed in.
signed-out = You are signed out
    .message = Your sessions in this browser have ended.
continue-to = Continue to { $app }

verify-title = Confirm it’s you
verify-lead = Signing in as { $email }.
verify-passkey = Use a passkey
verify-totp = Use an authenticator app
verify-recovery = Use a recovery code
verify-remember = { $days ->
    [one] Don’t ask again on this device for { $days } day
   *[other] Don’t ask again on this device for { $days } days
}
wrong-code = Incorrect code. Wait for the next one, and try again.
recovery-code = Recovery code
wrong-recovery-code = This code is incorrect, or it was used before. Each code works once.

enrol-title = Set up a second step
enrol-lead = Your account needs more than a password. Choose how you confirm that it’s you.
enrol-later = Not now (needed from { $day })

code-title = Sign in by email
code-lead = We send you a code that is good for ten minutes.
code-submit = Send the code
code-enter-title = Check your inbox
code-enter-lead = If { $email } has an account, a code is on its way. It works in this browser only.
code-field = Code
code-again = Send another code

## Registration
register-title = Create your account
register-admin = This account will be an administrator.
register-email-hint = We send you a link to confirm it.
register-submit = Create account
register-known = Already have an account?
register-sent = Check your inbox
    .message = We have sent you an email. Open the link in it to go on; it is good for a day. Nothing came? Look into your spam folder, or try again.
register-confirm-title = Choose a password
register-confirm-lead = { $email } is confirmed. One more step.
wrong-email = Enter an email address such as ann@example.com.
wrong-name = Enter a name of at most 100 characters.
wrong-time-zone = Choose a time zone from the list.
wrong-picture = Choose a PNG, JPEG or WebP picture of at most 8 MB, and 4,096 pixels a side.
email-taken = There is an account with this address. Sign in instead.
weak-nul = A password cannot have a NUL character.
weak-short = Use at least { $least } characters.
weak-long = Use at most 1,024 characters.
weak-common = This is one of the most common passwords, which attackers try first. Choose another.
weak-email = Choose a password that is not your email address.
password-hint = At least { $least } characters. Three or four unrelated words are easy to remember.
strength-0 = Very easy to guess
strength-1 = Easy to guess
strength-2 = Could be better
strength-3 = Good
strength-4 = Very good

## A forgotten password
forgot-title = Forgot your password?
forgot-lead = Enter your email address. We send you a link to choose a new password.
forgot-submit = Send the link
forgot-sent = Check your inbox
    .message = If there is an account with this address, a link is on its way. It is good for 30 minutes.
reset-title = Choose a new password
reset-lead = For { $email }. You will be signed out on all devices.
reset-submit = Change password

## Apps
apps-title = Your apps
apps-none = No apps yet
apps-none-why = Your administrator has not added any app. They will appear here.
apps-none-admin = Add the first one with “aa-server app add”. It will appear here.
apps-more = More apps
offer-passkey = Next time without a password?
offer-passkey-why = Sign in with your fingerprint, your face or the PIN of this device.

## Devices
sessions-title = Devices and sessions
sessions-lead = Where you are signed in, and the apps that are open there. Something you don’t recognise? Sign it out and change your password.
this-browser = This browser
last-used = last used
last-seen = last seen
first-seen = first seen
opened = opened
sessions-no-apps = Signed in, no apps open.
sign-out-device = Sign out this device
sign-out-others = Sign out all other devices
sign-out-everywhere = Sign out everywhere
ask-device = Sign out “{ $browser }” and all apps that are open there?
ask-this-device = This is the browser you are using. Sign out here, and of all apps that are open in it?
ask-others = Sign out all devices except this one?
ask-everywhere = Sign out on all devices, this one included?
browser-rename = Name this device
browser-name = Name
browser-name-example = Laptop at home
sessions-more = More sessions
done-session = { $app } on { $browser }: signed out.
done-browser = The device is signed out.
done-others = All other devices are signed out.
done-saved = Saved.
session-two-places = It was used from two places at once: { $first }, and { $second }. If one of them is not yours, sign it out and change your password.
session-two-places-server = Two servers of { $app } used it at once ({ $first } and { $second }). If that repeats, please tell its team.
ended-title = Ended in the last 30 days
ended-known-to = Confirmed by { $known } of { $all } followers.
end-signed-out = You signed out.
end-signed-in-again = Someone else signed in with this browser.
end-revoked-by-user = You signed it out.
end-revoked-by-app = You signed out in the app.
end-revoked-by-operator = An administrator ended it.
end-superseded = You opened the app again in the same browser.
end-password-changed = Your password was changed.
end-account-closed = You closed your account.
end-factors-reset = An administrator removed your passkeys and your authenticator app.
end-user-disabled = Your account was disabled.
end-client-disabled = The app was disabled.
end-client-changed = The app may not stay signed in any more. Open it again.
end-reuse = It was used twice: from { $first }, and from { $second }. If one of them is not you, change your password.
end-reuse-server = { $app } showed an old token again, so its session was ended ({ $first } and { $second }). If you did not restore or copy anything, please tell the app’s team.
end-expired = It was not used for a long time.
end-unknown = It has ended.
followers-title = Told when a session ends
followers-lead = For administrators: the apps and APIs that are connected, each of which refuses what it has confirmed.
follower-confirmed = knows of everything that ended until
follower-silent = has not confirmed anything yet

## Account
account-title = Account
profile-title = Profile
language = Language
language-browser = As my browser prefers
time-zone = Time zone
time-zone-browser = As my browser says
time-zone-hint = Times on these pages and in emails are shown in this zone. Without a choice, emails give them in UTC.
picture-title = Picture
picture-alt = Your picture
picture-remove = Remove picture
picture-new = Choose a picture
picture-hint = PNG, JPEG or WebP, at most 8 MB. The middle of it is shown.
picture-save = Save picture
email-confirmed = Confirmed
email-unconfirmed = Not confirmed
email-confirm = Confirm this address
email-new = New email address
email-change = Change email address
email-change-hint = We send a link to the new address, and tell the old one.
email-same = This is your address already.
data-title = Your data
data-lead = Everything that is stored about you here, and what happened to your account.
data-export = Download my data
close-title = Close account
close-lead = { $days ->
    [one] Signs you out everywhere. For { $days } day you can still change your mind; then the account is deleted.
   *[other] Signs you out everywhere. For { $days } days you can still change your mind; then the account is deleted.
}
close-ask = Close your account? You are signed out on all other devices.
close-submit = Close account
closing-soon = Your account is closed. It will be deleted on
closing-keep = Keep my account
done-email-sent = We have sent you a link to confirm your address.
done-email-change-sent = We have sent a link to the new address. Open it to change your address.
done-email-confirmed = Your address is confirmed.
done-closed = Your account is closed. You can keep it until the day below.
done-kept = Your account stays open.
confirm-email-title = Confirm your address
confirm-email-lead = { $email } is to be the address of your account.
change-email-lead = { $email } is to be the new address of your account.

## Security
security-title = Security
sign-in-to-change = Sign in again to change this
passkeys-title = Passkeys
passkeys-lead = Sign in with your fingerprint, your face or the PIN of a device. A passkey works on this site only, so no other can steal it.
passkey-add = Add a passkey
passkey-added = added
passkey-unused = not used yet
passkey-synced = In your password manager
passkey-one-device = On one device
passkey-name = Name of the passkey
passkey-ask = Remove “{ $name }”? You can’t sign in with it any more.
passkey-known = This device has a passkey for your account already.
passkey-too-many = You have 20 passkeys. Remove one first.
passkey-script = Adding a passkey needs JavaScript.
passkey-unavailable = Passkeys are not available at this address.
totp-title = Authenticator app
totp-lead = A code from an app on your phone, asked for after your password.
totp-set-up = Set up an authenticator app
totp-scan = Scan this with your authenticator app, then enter the code that it shows.
totp-qr = QR code for your authenticator app
totp-by-hand = Enter it by hand instead
totp-code = Code from your app
totp-code-hint = Six digits.
totp-turn-on = Turn on
totp-ask = Turn the authenticator app off? Your account is then protected by what remains.
recovery-title = Recovery codes
recovery-left = { $count ->
    [0] You have no recovery codes. Make some: they let you in when your other devices are lost.
    [one] You have { $count } recovery code left. Make new ones soon.
    [2] You have { $count } recovery codes left. Make new ones soon.
   *[other] You have { $count } recovery codes left. Each works once, when your other devices are lost.
}
recovery-make = Make new codes
recovery-ask = Make new codes? The old ones stop working.
recovery-new = Your recovery codes
recovery-keep = Keep these where you find them without your devices. Each works once. They are not shown again.
password-change = Change password
password-change-lead = You will be signed out on all other devices.
password-current = Current password
password-new = New password
password-wrong = The current password is incorrect.
password-same = The new password must differ from the current one.
done-password-changed = Your password was changed. You are signed out on all other devices.
done-passkey-added = Your passkey was added.
done-passkey-removed = The passkey was removed.
done-totp-added = Your authenticator app is on.
done-totp-removed = The authenticator app is off.

## Activity
activity-title = Recent activity
activity-lead = What happened to your account, newest first. Something you don’t recognise?
activity-filter = Show only
activity-all = Everything
activity-none = Nothing here
activity-none-why = No such thing has happened.
event-unknown = Unknown event ({ $kind })
event-times = { $what }, { $count } times
event-identity-started = Signed in
event-identity-refused = Failed sign-in
event-identity-ended = Signed out
event-family-started = Opened an app
event-family-ended = Signed out of an app
event-family-reuse = A session was ended: its token was used twice
event-family-grace-elsewhere = A session was used from two places
event-device-ended = Signed out a device
event-device-renamed = Renamed a device
event-device-requested = A device asked to be signed in
event-device-approved = Signed in on another device by a code
event-device-denied = Refused to sign in on another device
event-agent-allowed = Allowed an agent
event-agent-denied = Refused an agent
event-user-sessions-ended = Signed out other devices
event-user-made = Account created
event-user-password-changed = Password changed
event-user-password-reset = Password reset
event-user-email-confirmed = Email address confirmed
event-user-directory-changed = Your names or groups changed by an administrator
event-user-email-changed = Email address changed
event-user-profile-changed = Profile changed
event-user-data-exported = Data downloaded
event-user-closed = Account closed
event-user-kept = Account kept
event-user-deleted = Account deleted
event-passkey-added = Passkey added
event-passkey-removed = Passkey removed
event-totp-added = Authenticator app turned on
event-totp-removed = Authenticator app turned off
event-recovery-codes-made = Recovery codes made
event-recovery-codes-used = Signed in with a recovery code
event-factor-refused = A second step failed
event-factor-reset = Passkeys and authenticator app removed by an administrator
event-user-disabled = Account disabled
event-user-enabled = Account enabled
event-invitation-made = Invitation made
event-invitation-accepted = Invitation accepted
event-app-made = App registered
event-app-changed = App changed
event-app-secret-rotated = App was given a new secret
event-app-enabled = App enabled
event-app-disabled = App disabled
event-app-removed = App removed itself
event-registration-token-made = Token to register apps made
event-registration-token-revoked = Token to register apps revoked
event-client-refused = Requests of an app were refused
event-key-made = Signing key made
event-key-signing = Signing key in use
event-key-retired = Signing key retired
event-key-revoked = Signing key withdrawn
event-everything-ended = All sessions of all users ended
event-stream-added = Receiver of security events added
event-stream-removed = Receiver of security events removed
event-settings-seen = Settings changed

## Questions
continue-title = Continue to { $app }?
continue-question = A program on this device wants to sign you in to { $app } as { $email }. Continue only if you have just started { $app } yourself.
agent-badge = Agent
allow-title = Allow { $app }?
allow-question = { $app } is an agent: a program that acts for you by itself. It asks for access to your account { $email }.
allow-scopes = It may
allow-apis = Works with
allow-publisher = Comes from
allow-publisher-why = Only this address is certain: anyone can write any name.
allow-answer-to = The answer goes to
allow-here = { $place }, a program on this device
allow-how-long = How long
allow-ends = For { $most }.
allow-ends-idle = For { $most } at most, or until it is not used for { $idle }. You can end it sooner under Devices.
allow-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
allow-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
allow-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
allow-warning = Only allow this if you have just started it yourself. What an agent reads may tell it to do things that you do not want.
allow = Allow
allow-not = Don’t allow
scope-openid = Know which account is yours
scope-profile = See your name, picture, language and time zone
scope-email = See your email address
scope-roles = See your roles
scope-groups = See your groups
scope-offline-access = Go on while you are away
scope-other = Use “{ $scope }”
device-title = Sign in on a device
device-lead = Enter the code that your device shows.
device-code = Code
device-code-hint = Eight letters, like BCDF-GHJK.
device-unknown = This code does not exist, or it has been used or has expired. Check it, or let your device show a new one.
device-question-title = Sign in to { $app } on a device?
device-question = A device asks to use { $app } as { $email }. Compare the code with the one that it shows.
device-warning = Only continue if you started this yourself, on a device in front of you. If someone sent you this code or link, cancel: no one from support ever asks for this.
device-app = App
device-code-shown = Code
device-place = Asked from
device-browser = Device
device-asked = Asked
device-approved = Your device is signed in
    .message = You can close this page and go on there. You find the device under Devices, where you can sign it out.
device-denied = The device is not signed in
    .message = It gets no access to your account. If someone sent you the code, tell your administrator.
logout-title = Sign out?
logout-app = { $app } wants to sign you out here. This ends your session in every app in this browser.
logout-some-app = An app wants to sign you out here. This ends your session in every app in this browser.
stay-signed-in = Stay signed in

## Errors
error-bad-request = That did not work
    .message = The request cannot be understood. If an app sent you here, please tell its team.
error-not-found = Page not found
    .message = The address may be mistyped, or what was here is gone.
error-method = That does not work here
    .message = This address does not answer that kind of request.
error-not-by-script = That does not work here
    .message = Apps are opened by following a link.
error-unavailable = Please try again in a moment
    .message = The service cannot answer right now. Nothing has been lost.
error-unanswered = Please try again in a moment
    .message = The service cannot answer right now. Send the same request again.
error-too-many = { $minutes ->
    [one] Too many attempts. Try again in { $minutes } minute.
   *[other] Too many attempts. Try again in { $minutes } minutes.
}
    .message = This protects accounts from guessing. Nothing has been lost.
error-server = Something is wrong on our side
    .message = The error has been recorded. Please try again later.
error-cursor = This link does not fit here
    .message = It leads to a page of another list. Open the list from its beginning.
error-form-expired = Please try again
    .message = The form was not sent from one of our pages, or your browser was restarted meanwhile. Go back, load the page again, and send it once more.
error-too-large = That was too much
    .message = The form is larger than 64 KiB.
error-too-slow = That took too long
    .message = The form did not arrive in time. Please send it again.
error-attempt-expired = This sign-in has expired
    .message = It was begun too long ago, or in another browser. Go back to the app that you came from, and sign in there once more.
error-broken-link = This link does not work
    .message = An app sent you here with a request that cannot be answered. Please tell the app’s team.
error-registration-closed = Registration is closed
    .message = Accounts are made by an administrator here. Please ask yours.
error-invitation = This invitation is not valid any more
    .message = It was used already, or it has expired. Please ask for a new one.
error-link-expired = This link is not valid any more
    .message = It was used already, or it has expired. Ask for a new one where you got it.
error-email-taken = This address belongs to another account
    .message = Sign in to that account, or choose another address.

## Mails
mail-footer = { $brand } · { $url } · This mail was sent automatically.
mail-ignore = If you did not ask for this, ignore this mail. Nothing will happen.
mail-not-you = Was that you? Then there is nothing to do. If not, use the link to protect your account.
mail-place = { $agent }, { $ip }
mail-register = Confirm your email address
    .text = Welcome to { $brand }. Confirm your address to create your account. The link is good for a day.
mail-register-link = Confirm and go on
mail-known = You have an account already
    .text = Someone, hopefully you, wanted to use this address at { $brand }. It has an account already, so there is nothing to create.
mail-known-link = Choose a new password
mail-reset = Choose a new password
    .text = Here is the link to choose a new password for { $brand }. It is good for 30 minutes, and works once.
mail-reset-link = Choose a new password
mail-code = Your sign-in code
    .text = Enter this code in the browser where you asked for it. It is good for ten minutes.
mail-code-otherwise = Never give this code to anyone. If you did not ask for it, ignore this mail.
mail-confirm = Confirm your email address
    .text = Confirm that this is the address of your account at { $brand }. The link is good for a day.
mail-confirm-link = Confirm this address
mail-change = Confirm your new email address
    .text = Confirm that this is to be the new address of your account at { $brand }. The link is good for a day.
mail-change-link = Use this address
mail-invitation = You are invited to { $brand }
    .text = An administrator of { $brand } invites you to create an account. The link works once.
mail-invitation-link = Create your account
mail-look-link = Look at your account
mail-new-browser = New sign-in to { $brand }
    .text = Your account was used to sign in on a device that we have not seen before.
mail-password-changed = Your password was changed
    .text = The password of your account at { $brand } was changed. All other devices were signed out.
mail-password-reset = Your password was reset
    .text = The password of your account at { $brand } was replaced. All devices were signed out.
mail-reuse = A session was ended for your safety
    .text = A token of { $about } was used twice, from the places below. The session was ended, because one of them may be a thief.
mail-device-approved = A device was signed in by a code
    .text = A device was signed in to { $about } with your account at { $brand }, because its code was entered and confirmed.
mail-agent-allowed = An agent was allowed to act for you
    .text = You allowed the agent { $about } to act for you with your account at { $brand }.
mail-email-changed = Your email address is about to change
    .text = Someone signed in to your account at { $brand } asked to change its address to { $about }.
mail-passkey-added = A passkey was added
    .text = A passkey was added to your account at { $brand }.
mail-passkey-removed = A passkey was removed
    .text = A passkey was removed from your account at { $brand }.
mail-totp-added = An authenticator app was turned on
    .text = An authenticator app was turned on for your account at { $brand }.
mail-totp-removed = The authenticator app was turned off
    .text = The authenticator app of your account at { $brand } was turned off.
mail-recovery-used = A recovery code was used
    .text = Someone signed in to your account at { $brand } with one of your recovery codes.
mail-factors-reset = Your second steps were removed
    .text = An administrator removed the passkeys and the authenticator app of your account at { $brand }. All devices were signed out.
mail-closed = Your account is closed
    .text = Your account at { $brand } was closed and will be deleted. Sign in to keep it.
mail-activity = Something changed in your account
    .text = Look at what happened in your account at { $brand }.

## The demo
demo-mail-title = Mails of this demo
demo-mail-lead = There is no mail server here: what would be sent is shown to every visitor.
demo-mail-none = No mail yet
demo-mail-none-why = Create an account, or ask for a new password.
