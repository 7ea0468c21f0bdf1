# Alle Sätze der Seiten und Mails auf Deutsch.

## The frame
skip = Zum Inhalt springen
nav-label = Hauptmenü
nav-apps = Apps
nav-sessions = Geräte
nav-account = Konto
nav-security = Sicherheit
sign-out = Abmelden
help = Hilfe
title-error = Fehler: { $title }

## Words of many pages
or = oder
cancel = Abbrechen
continue = Weiter
save = Speichern
show = Anzeigen
remove = Entfernen
rename = Umbenennen
older = Ältere
on = An
copy = Kopieren
copied = Kopiert
not-now = Nicht jetzt
email = E-Mail-Adresse
password = Passwort
password-show = Anzeigen
password-hide = Verbergen
name = Name
name-optional = Name (freiwillig)
back-to-sign-in = Zurück zur Anmeldung
to-your-apps = Zu Ihren Apps
form-problem = Da stimmt etwas nicht
form-expired = Diese Seite war zu lange offen. Bitte versuchen Sie es noch einmal.
time-now = gerade eben
time-minutes = { $count ->
    [one] vor { $count } Minute
   *[other] vor { $count } Minuten
}
time-hours = { $count ->
    [one] vor { $count } Stunde
   *[other] vor { $count } Stunden
}
time-days = { $count ->
    [one] vor { $count } Tag
   *[other] vor { $count } Tagen
}
months = Januar Februar März April Mai Juni Juli August September Oktober November Dezember
moment = { $day }. { $month } { $year }, { $time } Uhr { $zone }
agent = { $name } auf { $system }
agent-name = { $name }
agent-system = Ein Browser auf { $system }
agent-unknown = Ein unbekannter Browser
place-browser = { $agent }, { $ip }
place-server = der Server der App, { $ip }
place-operator = jemand aus der Verwaltung

## Signing in
login-title = Anmelden
to-continue = um { $app } zu öffnen
login-submit = Anmelden
login-forgot = Passwort vergessen?
login-passkey = Mit einem Passkey anmelden
login-by-mail = Anmeldecode per E-Mail erhalten
login-no-account = Noch kein Konto?
login-register = Konto anlegen
wrong-sign-in = E-Mail-Adresse oder Passwort ist falsch.
wrong-passkey = Dieser Passkey hat nicht funktioniert. Versuchen Sie es noch einmal, oder nehmen Sie Ihr Passwort.
unknown-passkey = Dieser Passkey wurde aus Ihrem Konto entfernt. Nehmen Sie einen anderen oder Ihr Passwort.
passkey-failed = Es wurde nichts bestätigt. Versuchen Sie es noch einmal, oder wählen Sie einen anderen Weg.
done-signed-out = Sie sind abgemeldet.
done-signed-out-everywhere = Sie sind auf allen Geräten abgemeldet.
done-password-reset = Ihr Passwort ist geändert. Melden Sie sich mit dem neuen an.
signed-in = Sie sind angemeldet.
signed-out = Sie sind abgemeldet
    .message = Ihre Sitzungen in diesem Browser sind beendet.
continue-to = Weiter zu { $app }

verify-title = Bestätigen Sie, dass Sie es sind
verify-lead = Anmeldung als { $email }.
verify-passkey = Passkey verwenden
verify-totp = Authenticator-App verwenden
verify-recovery = Wiederherstellungscode verwenden
verify-remember = { $days ->
    [one] Auf diesem Gerät { $days } Tag lang nicht mehr fragen
   *[other] Auf diesem Gerät { $days } Tage lang nicht mehr fragen
}
wrong-code = Der Code ist falsch. Warten Sie auf den nächsten, und versuchen Sie es noch einmal.
recovery-code = Wiederherstellungscode
wrong-recovery-code = Dieser Code ist falsch oder wurde schon benutzt. Jeder gilt einmal.

enrol-title = Zweiten Schritt einrichten
enrol-lead = Ihr Konto braucht mehr als ein Passwort. Wählen Sie, wie Sie bestätigen, dass Sie es sind.
enrol-later = Nicht jetzt (nötig ab { $day })

code-title = Mit einer E-Mail anmelden
code-lead = Wir senden Ihnen einen Code, der zehn Minuten gilt.
code-submit = Code senden
code-enter-title = Sehen Sie in Ihr Postfach
code-enter-lead = Wenn es zu { $email } ein Konto gibt, ist ein Code unterwegs. Er gilt nur in diesem Browser.
code-field = Code
code-again = Anderen Code senden

## Registration
register-title = Konto anlegen
register-admin = Dieses Konto wird ein Verwaltungskonto.
register-email-hint = Wir senden Ihnen einen Link zur Bestätigung.
register-submit = Konto anlegen
register-known = Haben Sie schon ein Konto?
register-sent = Sehen Sie in Ihr Postfach
    .message = Wir haben Ihnen eine E-Mail gesendet. Öffnen Sie den Link darin; er gilt einen Tag. Nichts gekommen? Sehen Sie im Spam-Ordner nach, oder versuchen Sie es noch einmal.
register-confirm-title = Passwort wählen
register-confirm-lead = { $email } ist bestätigt. Noch ein Schritt.
wrong-email = Geben Sie eine E-Mail-Adresse an, zum Beispiel ann@example.com.
wrong-name = Geben Sie einen Namen mit höchstens 100 Zeichen an.
wrong-time-zone = Wählen Sie eine Zeitzone aus der Liste.
wrong-picture = Wählen Sie ein Bild als PNG, JPEG oder WebP mit höchstens 8 MB und 4096 Pixeln je Seite.
email-taken = Zu dieser Adresse gibt es ein Konto. Melden Sie sich damit an.
weak-nul = Ein Passwort kann kein NUL-Zeichen enthalten.
weak-short = Nehmen Sie mindestens { $least } Zeichen.
weak-long = Nehmen Sie höchstens 1.024 Zeichen.
weak-common = Das ist eines der häufigsten Passwörter; Angreifer versuchen es zuerst. Wählen Sie ein anderes.
weak-email = Wählen Sie ein Passwort, das nicht Ihre E-Mail-Adresse ist.
password-hint = Mindestens { $least } Zeichen. Drei oder vier Wörter ohne Zusammenhang merkt man sich leicht.
strength-0 = Sehr leicht zu erraten
strength-1 = Leicht zu erraten
strength-2 = Könnte besser sein
strength-3 = Gut
strength-4 = Sehr gut

## A forgotten password
forgot-title = Passwort vergessen?
forgot-lead = Geben Sie Ihre E-Mail-Adresse an. Wir senden Ihnen einen Link, um ein neues Passwort zu wählen.
forgot-submit = Link senden
forgot-sent = Sehen Sie in Ihr Postfach
    .message = Wenn es zu dieser Adresse ein Konto gibt, ist ein Link unterwegs. Er gilt 30 Minuten.
reset-title = Neues Passwort wählen
reset-lead = Für { $email }. Sie werden auf allen Geräten abgemeldet.
reset-submit = Passwort ändern

## Apps
apps-title = Ihre Apps
apps-none = Noch keine Apps
apps-none-why = Ihre Verwaltung hat noch keine App hinzugefügt. Sie erscheinen dann hier.
apps-none-admin = Fügen Sie die erste mit „aa-server app add“ hinzu. Sie erscheint dann hier.
apps-more = Weitere Apps
offer-passkey = Nächstes Mal ohne Passwort?
offer-passkey-why = Melden Sie sich mit Fingerabdruck, Gesicht oder der PIN dieses Geräts an.

## Devices
sessions-title = Geräte und Sitzungen
sessions-lead = Wo Sie angemeldet sind, und welche Apps dort offen sind. Etwas kennen Sie nicht? Melden Sie es ab, und ändern Sie Ihr Passwort.
this-browser = Dieser Browser
last-used = zuletzt benutzt
last-seen = zuletzt gesehen
first-seen = zuerst gesehen
opened = geöffnet
sessions-no-apps = Angemeldet, keine Apps offen.
sign-out-device = Dieses Gerät abmelden
sign-out-others = Alle anderen Geräte abmelden
sign-out-everywhere = Überall abmelden
ask-device = „{ $browser }“ und alle Apps, die dort offen sind, abmelden?
ask-this-device = Das ist der Browser, den Sie gerade benutzen. Hier und in allen Apps, die in ihm offen sind, abmelden?
ask-others = Alle Geräte außer diesem abmelden?
ask-everywhere = Auf allen Geräten abmelden, auch auf diesem?
browser-rename = Gerät benennen
browser-name = Name
browser-name-example = Laptop zu Hause
sessions-more = Weitere Sitzungen
done-session = { $app } auf { $browser }: abgemeldet.
done-browser = Das Gerät ist abgemeldet.
done-others = Alle anderen Geräte sind abgemeldet.
done-saved = Gespeichert.
session-two-places = Sie wurde an zwei Orten zugleich benutzt: { $first } und { $second }. Wenn einer davon nicht Ihrer ist, melden Sie sie ab, und ändern Sie Ihr Passwort.
session-two-places-server = Zwei Server von { $app } haben sie zugleich benutzt ({ $first } und { $second }). Wenn sich das wiederholt, sagen Sie es bitte dem Team der App.
ended-title = In den letzten 30 Tagen beendet
ended-known-to = Bestätigt von { $known } von { $all } Empfängern.
end-signed-out = Sie haben sich abgemeldet.
end-signed-in-again = Jemand anders hat sich mit diesem Browser angemeldet.
end-revoked-by-user = Sie haben sie abgemeldet.
end-revoked-by-app = Sie haben sich in der App abgemeldet.
end-revoked-by-operator = Die Verwaltung hat sie beendet.
end-superseded = Sie haben die App im selben Browser noch einmal geöffnet.
end-password-changed = Ihr Passwort wurde geändert.
end-account-closed = Sie haben Ihr Konto geschlossen.
end-factors-reset = Die Verwaltung hat Ihre Passkeys und Ihre Authenticator-App entfernt.
end-user-disabled = Ihr Konto wurde gesperrt.
end-client-disabled = Die App wurde gesperrt.
end-client-changed = Die App darf nicht länger angemeldet bleiben. Öffnen Sie sie neu.
end-reuse = Sie wurde zweimal benutzt: von { $first } und von { $second }. Wenn einer davon nicht Sie sind, ändern Sie Ihr Passwort.
end-reuse-server = { $app } hat ein altes Token noch einmal gezeigt, deshalb wurde die Sitzung beendet ({ $first } und { $second }). Wenn Sie nichts wiederhergestellt oder kopiert haben, sagen Sie es bitte dem Team der App.
end-expired = Sie wurde lange nicht benutzt.
end-unknown = Sie ist beendet.
followers-title = Wer vom Ende einer Sitzung erfährt
followers-lead = Für die Verwaltung: die Apps und APIs, die verbunden sind. Jede weist ab, was sie bestätigt hat.
follower-confirmed = weiß von allem, was bis dahin endete:
follower-silent = hat noch nichts bestätigt

## Account
account-title = Konto
profile-title = Profil
language = Sprache
language-browser = Wie mein Browser es wünscht
time-zone = Zeitzone
time-zone-browser = Wie mein Browser sagt
time-zone-hint = In dieser Zone stehen Zeiten auf diesen Seiten und in E-Mails. Ohne Wahl nennen E-Mails sie in UTC.
picture-title = Bild
picture-alt = Ihr Bild
picture-remove = Bild entfernen
picture-new = Bild wählen
picture-hint = PNG, JPEG oder WebP, höchstens 8 MB. Gezeigt wird die Mitte.
picture-save = Bild speichern
email-confirmed = Bestätigt
email-unconfirmed = Nicht bestätigt
email-confirm = Diese Adresse bestätigen
email-new = Neue E-Mail-Adresse
email-change = E-Mail-Adresse ändern
email-change-hint = Wir senden einen Link an die neue Adresse und sagen es der alten.
email-same = Das ist schon Ihre Adresse.
data-title = Ihre Daten
data-lead = Alles, was hier über Sie gespeichert ist, und was mit Ihrem Konto geschah.
data-export = Meine Daten herunterladen
close-title = Konto schließen
close-lead = { $days ->
    [one] Sie werden überall abgemeldet. { $days } Tag lang können Sie es sich anders überlegen; dann wird das Konto gelöscht.
   *[other] Sie werden überall abgemeldet. { $days } Tage lang können Sie es sich anders überlegen; dann wird das Konto gelöscht.
}
close-ask = Konto schließen? Sie werden auf allen anderen Geräten abgemeldet.
close-submit = Konto schließen
closing-soon = Ihr Konto ist geschlossen. Es wird gelöscht am
closing-keep = Konto behalten
done-email-sent = Wir haben Ihnen einen Link gesendet, um Ihre Adresse zu bestätigen.
done-email-change-sent = Wir haben einen Link an die neue Adresse gesendet. Öffnen Sie ihn, um die Adresse zu ändern.
done-email-confirmed = Ihre Adresse ist bestätigt.
done-closed = Ihr Konto ist geschlossen. Bis zum Tag unten können Sie es behalten.
done-kept = Ihr Konto bleibt offen.
confirm-email-title = Adresse bestätigen
confirm-email-lead = { $email } soll die Adresse Ihres Kontos sein.
change-email-lead = { $email } soll die neue Adresse Ihres Kontos sein.

## Security
security-title = Sicherheit
sign-in-to-change = Zum Ändern noch einmal anmelden
passkeys-title = Passkeys
passkeys-lead = Melden Sie sich mit Fingerabdruck, Gesicht oder der PIN eines Geräts an. Ein Passkey gilt nur auf dieser Seite, keine andere kann ihn stehlen.
passkey-add = Passkey hinzufügen
passkey-added = hinzugefügt
passkey-unused = noch nicht benutzt
passkey-synced = In Ihrem Passwortmanager
passkey-one-device = Auf einem Gerät
passkey-name = Name des Passkeys
passkey-ask = „{ $name }“ entfernen? Sie können sich dann nicht mehr damit anmelden.
passkey-known = Dieses Gerät hat schon einen Passkey für Ihr Konto.
passkey-too-many = Sie haben 20 Passkeys. Entfernen Sie zuerst einen.
passkey-script = Um einen Passkey hinzuzufügen, braucht es JavaScript.
passkey-unavailable = Unter dieser Adresse gibt es keine Passkeys.
totp-title = Authenticator-App
totp-lead = Ein Code aus einer App auf Ihrem Telefon, nach dem wir nach dem Passwort fragen.
totp-set-up = Authenticator-App einrichten
totp-scan = Scannen Sie das mit Ihrer Authenticator-App, und geben Sie den Code ein, den sie zeigt.
totp-qr = QR-Code für Ihre Authenticator-App
totp-by-hand = Stattdessen von Hand eingeben
totp-code = Code aus Ihrer App
totp-code-hint = Sechs Ziffern.
totp-turn-on = Einschalten
totp-ask = Authenticator-App ausschalten? Ihr Konto ist dann durch das geschützt, was bleibt.
recovery-title = Wiederherstellungscodes
recovery-left = { $count ->
    [0] Sie haben keine Wiederherstellungscodes. Erzeugen Sie welche: Mit ihnen kommen Sie hinein, wenn Ihre anderen Geräte verloren sind.
    [one] Sie haben noch { $count } Wiederherstellungscode. Erzeugen Sie bald neue.
    [2] Sie haben noch { $count } Wiederherstellungscodes. Erzeugen Sie bald neue.
   *[other] Sie haben noch { $count } Wiederherstellungscodes. Jeder gilt einmal, wenn Ihre anderen Geräte verloren sind.
}
recovery-make = Neue Codes erzeugen
recovery-ask = Neue Codes erzeugen? Die alten gelten dann nicht mehr.
recovery-new = Ihre Wiederherstellungscodes
recovery-keep = Bewahren Sie sie dort auf, wo Sie sie ohne Ihre Geräte finden. Jeder gilt einmal. Sie werden nicht noch einmal gezeigt.
password-change = Passwort ändern
password-change-lead = Sie werden auf allen anderen Geräten abgemeldet.
password-current = Bisheriges Passwort
password-new = Neues Passwort
password-wrong = Das bisherige Passwort ist falsch.
password-same = Das neue Passwort muss sich vom bisherigen unterscheiden.
done-password-changed = Ihr Passwort ist geändert. Auf allen anderen Geräten sind Sie abgemeldet.
done-passkey-added = Ihr Passkey ist hinzugefügt.
done-passkey-removed = Der Passkey ist entfernt.
done-totp-added = Ihre Authenticator-App ist eingeschaltet.
done-totp-removed = Die Authenticator-App ist ausgeschaltet.

## Activity
activity-title = Letzte Aktivitäten
activity-lead = Was mit Ihrem Konto geschah, das Neueste zuerst. Etwas kennen Sie nicht?
activity-filter = Nur anzeigen
activity-all = Alles
activity-none = Hier ist nichts
activity-none-why = Dergleichen ist nicht geschehen.
event-unknown = Unbekanntes Ereignis ({ $kind })
event-times = { $what }, { $count }-mal
event-identity-started = Angemeldet
event-identity-refused = Anmeldung gescheitert
event-identity-ended = Abgemeldet
event-family-started = App geöffnet
event-family-ended = Von einer App abgemeldet
event-family-reuse = Eine Sitzung wurde beendet: Ihr Token wurde zweimal benutzt
event-family-grace-elsewhere = Eine Sitzung wurde an zwei Orten benutzt
event-device-ended = Gerät abgemeldet
event-device-renamed = Gerät umbenannt
event-device-requested = Ein Gerät wollte angemeldet werden
event-device-approved = Auf einem anderen Gerät mit einem Code angemeldet
event-device-denied = Anmeldung auf einem anderen Gerät abgelehnt
event-agent-allowed = Einem Agenten Zugriff erlaubt
event-agent-denied = Einem Agenten Zugriff verweigert
event-user-sessions-ended = Andere Geräte abgemeldet
event-user-made = Konto angelegt
event-user-password-changed = Passwort geändert
event-user-password-reset = Passwort ersetzt
event-user-email-confirmed = E-Mail-Adresse bestätigt
event-user-directory-changed = Namen oder Gruppen von einem Administrator geändert
event-user-email-changed = E-Mail-Adresse geändert
event-user-profile-changed = Profil geändert
event-user-data-exported = Daten heruntergeladen
event-user-closed = Konto geschlossen
event-user-kept = Konto behalten
event-user-deleted = Konto gelöscht
event-passkey-added = Passkey hinzugefügt
event-passkey-removed = Passkey entfernt
event-totp-added = Authenticator-App eingeschaltet
event-totp-removed = Authenticator-App ausgeschaltet
event-recovery-codes-made = Wiederherstellungscodes erzeugt
event-recovery-codes-used = Mit einem Wiederherstellungscode angemeldet
event-factor-refused = Ein zweiter Schritt ist gescheitert
event-factor-reset = Passkeys und Authenticator-App von der Verwaltung entfernt
event-user-disabled = Konto gesperrt
event-user-enabled = Konto freigegeben
event-invitation-made = Einladung erzeugt
event-invitation-accepted = Einladung angenommen
event-app-made = App registriert
event-app-changed = App geändert
event-app-secret-rotated = App hat ein neues Geheimnis
event-app-enabled = App freigegeben
event-app-disabled = App gesperrt
event-app-removed = App hat sich abgemeldet
event-registration-token-made = Token zum Registrieren von Apps erzeugt
event-registration-token-revoked = Token zum Registrieren von Apps widerrufen
event-client-refused = Anfragen einer App wurden abgelehnt
event-key-made = Signaturschlüssel erzeugt
event-key-signing = Signaturschlüssel in Gebrauch
event-key-retired = Signaturschlüssel ausgemustert
event-key-revoked = Signaturschlüssel zurückgezogen
event-everything-ended = Alle Sitzungen aller Konten beendet
event-stream-added = Empfänger von Sicherheitsereignissen hinzugefügt
event-stream-removed = Empfänger von Sicherheitsereignissen entfernt
event-settings-seen = Einstellungen geändert

## Questions
continue-title = Weiter zu { $app }?
continue-question = Ein Programm auf diesem Gerät möchte Sie als { $email } bei { $app } anmelden. Gehen Sie nur weiter, wenn Sie { $app } gerade selbst gestartet haben.
agent-badge = Agent
allow-title = { $app } erlauben?
allow-question = { $app } ist ein Agent: ein Programm, das selbstständig für Sie handelt. Es bittet um Zugriff auf Ihr Konto { $email }.
allow-scopes = Er darf
allow-apis = Arbeitet mit
allow-publisher = Kommt von
allow-publisher-why = Nur diese Adresse ist sicher: Jeder kann jeden Namen schreiben.
allow-answer-to = Die Antwort geht an
allow-here = { $place }, ein Programm auf diesem Gerät
allow-how-long = Wie lange
allow-ends = Für { $most }.
allow-ends-idle = Für höchstens { $most }, oder bis er { $idle } lang nicht benutzt wird. Unter „Geräte“ können Sie das früher beenden.
allow-minutes = { $count ->
    [one] { $count } Minute
   *[other] { $count } Minuten
}
allow-hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
allow-days = { $count ->
    [one] { $count } Tag
   *[other] { $count } Tage
}
allow-warning = Erlauben Sie das nur, wenn Sie ihn gerade selbst gestartet haben. Was ein Agent liest, kann ihn dazu bringen, Dinge zu tun, die Sie nicht wollen.
allow = Erlauben
allow-not = Nicht erlauben
scope-openid = Erkennen, welches Konto Ihres ist
scope-profile = Ihren Namen, Ihr Bild, Ihre Sprache und Ihre Zeitzone sehen
scope-email = Ihre E-Mail-Adresse sehen
scope-roles = Ihre Rollen sehen
scope-groups = Ihre Gruppen sehen
scope-offline-access = Weitermachen, während Sie weg sind
scope-other = „{ $scope }“ benutzen
device-title = Auf einem Gerät anmelden
device-lead = Geben Sie den Code ein, den Ihr Gerät anzeigt.
device-code = Code
device-code-hint = Acht Buchstaben, wie BCDF-GHJK.
device-unknown = Diesen Code gibt es nicht, oder er wurde schon benutzt oder ist abgelaufen. Prüfen Sie ihn, oder lassen Sie Ihr Gerät einen neuen anzeigen.
device-question-title = Auf einem Gerät bei { $app } anmelden?
device-question = Ein Gerät möchte { $app } als { $email } benutzen. Vergleichen Sie den Code mit dem, den es anzeigt.
device-warning = Gehen Sie nur weiter, wenn Sie das selbst begonnen haben, auf einem Gerät, das vor Ihnen steht. Wenn Ihnen jemand diesen Code oder Link geschickt hat, brechen Sie ab: Niemand vom Support bittet je darum.
device-app = App
device-code-shown = Code
device-place = Angefragt von
device-browser = Gerät
device-asked = Angefragt
device-approved = Ihr Gerät ist angemeldet
    .message = Sie können diese Seite schließen und dort weitermachen. Sie finden das Gerät unter „Geräte“, wo Sie es abmelden können.
device-denied = Das Gerät ist nicht angemeldet
    .message = Es bekommt keinen Zugang zu Ihrem Konto. Wenn Ihnen jemand den Code geschickt hat, sagen Sie es Ihrer Verwaltung.
logout-title = Abmelden?
logout-app = { $app } möchte Sie hier abmelden. Das beendet Ihre Sitzung in jeder App in diesem Browser.
logout-some-app = Eine App möchte Sie hier abmelden. Das beendet Ihre Sitzung in jeder App in diesem Browser.
stay-signed-in = Angemeldet bleiben

## Errors
error-bad-request = Das hat nicht geklappt
    .message = Die Anfrage ist nicht zu verstehen. Wenn eine App Sie hierher geschickt hat, sagen Sie es bitte ihrem Team.
error-not-found = Seite nicht gefunden
    .message = Vielleicht ist die Adresse vertippt, oder was hier war, ist fort.
error-method = Das geht hier nicht
    .message = Diese Adresse beantwortet solche Anfragen nicht.
error-not-by-script = Das geht hier nicht
    .message = Apps öffnet man, indem man einem Link folgt.
error-unavailable = Bitte versuchen Sie es gleich noch einmal
    .message = Der Dienst kann gerade nicht antworten. Es ist nichts verloren.
error-unanswered = Bitte versuchen Sie es gleich noch einmal
    .message = Der Dienst kann gerade nicht antworten. Senden Sie dieselbe Anfrage noch einmal.
error-too-many = { $minutes ->
    [one] Zu viele Versuche. In { $minutes } Minute können Sie es wieder versuchen.
   *[other] Zu viele Versuche. In { $minutes } Minuten können Sie es wieder versuchen.
}
    .message = Das schützt Konten davor, dass jemand Passwörter errät. Es ist nichts verloren.
error-server = Bei uns ist etwas schiefgegangen
    .message = Der Fehler ist festgehalten. Bitte versuchen Sie es später noch einmal.
error-cursor = Dieser Link passt hier nicht
    .message = Er führt zu einer Seite einer anderen Liste. Öffnen Sie die Liste von vorn.
error-form-expired = Bitte versuchen Sie es noch einmal
    .message = Das Formular kam nicht von einer unserer Seiten, oder Ihr Browser wurde inzwischen neu gestartet. Gehen Sie zurück, laden Sie die Seite neu, und senden Sie es noch einmal.
error-too-large = Das war zu viel
    .message = Das Formular ist größer als 64 KiB.
error-too-slow = Das hat zu lange gedauert
    .message = Das Formular kam nicht rechtzeitig an. Bitte senden Sie es noch einmal.
error-attempt-expired = Diese Anmeldung ist abgelaufen
    .message = Sie wurde vor zu langer Zeit oder in einem anderen Browser begonnen. Gehen Sie zurück zur App, und melden Sie sich dort noch einmal an.
error-broken-link = Dieser Link funktioniert nicht
    .message = Eine App hat Sie mit einer Anfrage hierher geschickt, die nicht zu beantworten ist. Bitte sagen Sie es dem Team der App.
error-registration-closed = Hier kann man sich nicht registrieren
    .message = Konten legt hier die Verwaltung an. Bitte fragen Sie dort.
error-invitation = Diese Einladung gilt nicht mehr
    .message = Sie wurde schon benutzt oder ist abgelaufen. Bitte fragen Sie nach einer neuen.
error-link-expired = Dieser Link gilt nicht mehr
    .message = Er wurde schon benutzt oder ist abgelaufen. Fordern Sie dort, wo Sie ihn bekamen, einen neuen an.
error-email-taken = Diese Adresse gehört zu einem anderen Konto
    .message = Melden Sie sich mit jenem Konto an, oder wählen Sie eine andere Adresse.

## Mails
mail-footer = { $brand } · { $url } · Diese E-Mail wurde automatisch gesendet.
mail-ignore = Wenn Sie das nicht wollten, übergehen Sie diese E-Mail. Es geschieht nichts.
mail-not-you = Waren Sie das? Dann ist nichts zu tun. Wenn nicht, schützen Sie Ihr Konto mit dem Link.
mail-place = { $agent }, { $ip }
mail-register = Bestätigen Sie Ihre E-Mail-Adresse
    .text = Willkommen bei { $brand }. Bestätigen Sie Ihre Adresse, um Ihr Konto anzulegen. Der Link gilt einen Tag.
mail-register-link = Bestätigen und weiter
mail-known = Sie haben schon ein Konto
    .text = Jemand, hoffentlich Sie, wollte diese Adresse bei { $brand } verwenden. Zu ihr gibt es schon ein Konto, es ist also nichts anzulegen.
mail-known-link = Neues Passwort wählen
mail-reset = Neues Passwort wählen
    .text = Mit diesem Link wählen Sie ein neues Passwort für { $brand }. Er gilt 30 Minuten und einmal.
mail-reset-link = Neues Passwort wählen
mail-code = Ihr Anmeldecode
    .text = Geben Sie diesen Code in dem Browser ein, in dem Sie ihn angefordert haben. Er gilt zehn Minuten.
mail-code-otherwise = Geben Sie diesen Code niemals weiter. Wenn Sie ihn nicht angefordert haben, übergehen Sie diese E-Mail.
mail-confirm = Bestätigen Sie Ihre E-Mail-Adresse
    .text = Bestätigen Sie, dass dies die Adresse Ihres Kontos bei { $brand } ist. Der Link gilt einen Tag.
mail-confirm-link = Diese Adresse bestätigen
mail-change = Bestätigen Sie Ihre neue E-Mail-Adresse
    .text = Bestätigen Sie, dass dies die neue Adresse Ihres Kontos bei { $brand } sein soll. Der Link gilt einen Tag.
mail-change-link = Diese Adresse verwenden
mail-invitation = Sie sind zu { $brand } eingeladen
    .text = Die Verwaltung von { $brand } lädt Sie ein, ein Konto anzulegen. Der Link gilt einmal.
mail-invitation-link = Konto anlegen
mail-look-link = Konto ansehen
mail-new-browser = Neue Anmeldung bei { $brand }
    .text = Mit Ihrem Konto hat sich jemand auf einem Gerät angemeldet, das wir noch nicht kannten.
mail-password-changed = Ihr Passwort wurde geändert
    .text = Das Passwort Ihres Kontos bei { $brand } wurde geändert. Alle anderen Geräte wurden abgemeldet.
mail-password-reset = Ihr Passwort wurde ersetzt
    .text = Das Passwort Ihres Kontos bei { $brand } wurde ersetzt. Alle Geräte wurden abgemeldet.
mail-reuse = Eine Sitzung wurde zu Ihrer Sicherheit beendet
    .text = Ein Token von { $about } wurde zweimal benutzt, von den Orten unten. Die Sitzung wurde beendet, denn an einem davon könnte ein Dieb sein.
mail-device-approved = Ein Gerät wurde mit einem Code angemeldet
    .text = Ein Gerät wurde mit Ihrem Konto bei { $brand } in { $about } angemeldet, weil sein Code eingegeben und bestätigt wurde.
mail-agent-allowed = Ein Agent darf für Sie handeln
    .text = Sie haben dem Agenten { $about } erlaubt, mit Ihrem Konto bei { $brand } für Sie zu handeln.
mail-email-changed = Ihre E-Mail-Adresse soll geändert werden
    .text = Jemand, der bei { $brand } mit Ihrem Konto angemeldet ist, möchte dessen Adresse in { $about } ändern.
mail-passkey-added = Ein Passkey wurde hinzugefügt
    .text = Ihrem Konto bei { $brand } wurde ein Passkey hinzugefügt.
mail-passkey-removed = Ein Passkey wurde entfernt
    .text = Aus Ihrem Konto bei { $brand } wurde ein Passkey entfernt.
mail-totp-added = Eine Authenticator-App wurde eingeschaltet
    .text = Für Ihr Konto bei { $brand } wurde eine Authenticator-App eingeschaltet.
mail-totp-removed = Die Authenticator-App wurde ausgeschaltet
    .text = Die Authenticator-App Ihres Kontos bei { $brand } wurde ausgeschaltet.
mail-recovery-used = Ein Wiederherstellungscode wurde benutzt
    .text = Jemand hat sich mit einem Ihrer Wiederherstellungscodes bei { $brand } angemeldet.
mail-factors-reset = Ihre zweiten Schritte wurden entfernt
    .text = Die Verwaltung von { $brand } hat die Passkeys und die Authenticator-App Ihres Kontos entfernt. Alle Geräte wurden abgemeldet.
mail-closed = Ihr Konto ist geschlossen
    .text = Ihr Konto bei { $brand } wurde geschlossen und wird gelöscht. Melden Sie sich an, um es zu behalten.
mail-activity = In Ihrem Konto hat sich etwas geändert
    .text = Sehen Sie nach, was in Ihrem Konto bei { $brand } geschah.

## The demo
demo-mail-title = E-Mails dieser Demo
demo-mail-lead = Hier gibt es keinen Mailserver: Was gesendet würde, ist allen gezeigt.
demo-mail-none = Noch keine E-Mail
demo-mail-none-why = Legen Sie ein Konto an, oder fordern Sie ein neues Passwort an.
