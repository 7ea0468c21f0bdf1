# Toutes les phrases des pages et des courriels en français.

## The frame
skip = Aller au contenu
nav-label = Menu principal
nav-apps = Applications
nav-sessions = Appareils
nav-account = Compte
nav-security = Sécurité
sign-out = Se déconnecter
help = Aide
title-error = Erreur : { $title }

## Words of many pages
or = ou
cancel = Annuler
continue = Continuer
save = Enregistrer
show = Afficher
remove = Supprimer
rename = Renommer
older = Plus anciens
on = Activé
copy = Copier
copied = Copié
not-now = Pas maintenant
email = Adresse e-mail
password = Mot de passe
password-show = Afficher
password-hide = Masquer
name = Nom
name-optional = Nom (facultatif)
back-to-sign-in = Retour à la connexion
to-your-apps = Vers vos applications
form-problem = Il y a un problème
form-expired = Cette page est restée ouverte trop longtemps. Veuillez réessayer.
time-now = à l’instant
time-minutes = { $count ->
    [one] il y a { $count } minute
   *[other] il y a { $count } minutes
}
time-hours = { $count ->
    [one] il y a { $count } heure
   *[other] il y a { $count } heures
}
time-days = { $count ->
    [one] il y a { $count } jour
   *[other] il y a { $count } jours
}
months = janvier février mars avril mai juin juillet août septembre octobre novembre décembre
moment = { $day ->
    [1] 1er
   *[other] { $day }
} { $month } { $year }, { $time } { $zone }
agent = { $name } sur { $system }
agent-name = { $name }
agent-system = Un navigateur sur { $system }
agent-unknown = Un navigateur inconnu
place-browser = { $agent }, { $ip }
place-server = le serveur de l’application, { $ip }
place-operator = l’administration

## Signing in
login-title = Se connecter
to-continue = pour ouvrir { $app }
login-submit = Se connecter
login-forgot = Mot de passe oublié ?
login-passkey = Se connecter avec une clé d’accès
login-by-mail = Recevoir un code de connexion par e-mail
login-no-account = Pas encore de compte ?
login-register = Créer un compte
wrong-sign-in = Adresse e-mail ou mot de passe incorrect.
wrong-passkey = Cette clé d’accès n’a pas fonctionné. Réessayez, ou utilisez votre mot de passe.
unknown-passkey = Cette clé d’accès a été supprimée de votre compte. Utilisez-en une autre, ou votre mot de passe.
passkey-failed = Rien n’a été confirmé. Réessayez, ou choisissez un autre moyen.
done-signed-out = Vous êtes déconnecté.
done-signed-out-everywhere = Vous êtes déconnecté de tous les appareils.
done-password-reset = Votre mot de passe a été changé. Connectez-vous avec le nouveau.
signed-in = Vous êtes connecté.
signed-out = Vous êtes déconnecté
    .message = Vos sessions dans ce navigateur sont terminées.
continue-to = Continuer vers { $app }

verify-title = Confirmez que c’est bien vous
verify-lead = Connexion en tant que { $email }.
verify-passkey = Utiliser une clé d’accès
verify-totp = Utiliser une application d’authentification
verify-recovery = Utiliser un code de secours
verify-remember = { $days ->
    [one] Ne plus demander sur cet appareil pendant { $days } jour
   *[other] Ne plus demander sur cet appareil pendant { $days } jours
}
wrong-code = Code incorrect. Attendez le suivant et réessayez.
recovery-code = Code de secours
wrong-recovery-code = Ce code est incorrect ou a déjà servi. Chaque code sert une fois.

enrol-title = Ajoutez une seconde étape
enrol-lead = Votre compte demande plus qu’un mot de passe. Choisissez comment confirmer que c’est bien vous.
enrol-later = Pas maintenant (nécessaire à partir du { $day })

code-title = Se connecter par e-mail
code-lead = Nous vous envoyons un code valable dix minutes.
code-submit = Envoyer le code
code-enter-title = Consultez votre messagerie
code-enter-lead = Si { $email } a un compte, un code est en route. Il ne fonctionne que dans ce navigateur.
code-field = Code
code-again = Envoyer un autre code

## Registration
register-title = Créez votre compte
register-admin = Ce compte sera administrateur.
register-email-hint = Nous vous envoyons un lien pour la confirmer.
register-submit = Créer le compte
register-known = Vous avez déjà un compte ?
register-sent = Consultez votre messagerie
    .message = Nous vous avons envoyé un e-mail. Ouvrez le lien qu’il contient ; il est valable un jour. Rien reçu ? Regardez dans les indésirables, ou réessayez.
register-confirm-title = Choisissez un mot de passe
register-confirm-lead = { $email } est confirmée. Encore une étape.
wrong-email = Saisissez une adresse e-mail, par exemple ann@example.com.
wrong-name = Saisissez un nom de 100 caractères au plus.
wrong-time-zone = Choisissez un fuseau horaire dans la liste.
wrong-picture = Choisissez une image PNG, JPEG ou WebP de 8 Mo et de 4 096 pixels de côté au plus.
email-taken = Un compte existe avec cette adresse. Connectez-vous.
weak-nul = Un mot de passe ne peut contenir de caractère NUL.
weak-short = Utilisez au moins { $least } caractères.
weak-long = Utilisez au plus 1 024 caractères.
weak-common = C’est l’un des mots de passe les plus courants, que les attaquants essaient d’abord. Choisissez-en un autre.
weak-email = Choisissez un mot de passe qui ne soit pas votre adresse e-mail.
password-hint = Au moins { $least } caractères. Trois ou quatre mots sans rapport se retiennent facilement.
strength-0 = Très facile à deviner
strength-1 = Facile à deviner
strength-2 = Pourrait être meilleur
strength-3 = Bon
strength-4 = Très bon

## A forgotten password
forgot-title = Mot de passe oublié ?
forgot-lead = Saisissez votre adresse e-mail. Nous vous envoyons un lien pour choisir un nouveau mot de passe.
forgot-submit = Envoyer le lien
forgot-sent = Consultez votre messagerie
    .message = Si un compte existe avec cette adresse, un lien est en route. Il est valable 30 minutes.
reset-title = Choisissez un nouveau mot de passe
reset-lead = Pour { $email }. Vous serez déconnecté de tous les appareils.
reset-submit = Changer le mot de passe

## Apps
apps-title = Vos applications
apps-none = Pas encore d’application
apps-none-why = Votre administration n’a pas encore ajouté d’application. Elles apparaîtront ici.
apps-none-admin = Ajoutez la première avec « aa-server app add ». Elle apparaîtra ici.
apps-more = Plus d’applications
offer-passkey = La prochaine fois, sans mot de passe ?
offer-passkey-why = Connectez-vous avec votre empreinte, votre visage ou le code de cet appareil.

## Devices
sessions-title = Appareils et sessions
sessions-lead = Où vous êtes connecté, et les applications qui y sont ouvertes. Quelque chose vous est inconnu ? Déconnectez-le et changez votre mot de passe.
this-browser = Ce navigateur
last-used = dernière utilisation
last-seen = vu pour la dernière fois
first-seen = vu pour la première fois
opened = ouverte
sessions-no-apps = Connecté, aucune application ouverte.
sign-out-device = Déconnecter cet appareil
sign-out-others = Déconnecter tous les autres appareils
sign-out-everywhere = Se déconnecter partout
ask-device = Déconnecter « { $browser } » et toutes les applications qui y sont ouvertes ?
ask-this-device = C’est le navigateur que vous utilisez. Vous déconnecter ici, et de toutes les applications qui y sont ouvertes ?
ask-others = Déconnecter tous les appareils sauf celui-ci ?
ask-everywhere = Vous déconnecter de tous les appareils, y compris celui-ci ?
browser-rename = Nommer cet appareil
browser-name = Nom
browser-name-example = Portable à la maison
sessions-more = Plus de sessions
done-session = { $app } sur { $browser } : déconnecté.
done-browser = L’appareil est déconnecté.
done-others = Tous les autres appareils sont déconnectés.
done-saved = Enregistré.
session-two-places = Elle a servi à deux endroits à la fois : { $first } et { $second }. Si l’un d’eux n’est pas à vous, déconnectez-la et changez votre mot de passe.
session-two-places-server = Deux serveurs de { $app } l’ont utilisée à la fois ({ $first } et { $second }). Si cela se répète, dites-le à son équipe.
ended-title = Terminées ces 30 derniers jours
ended-known-to = Confirmé par { $known } destinataires sur { $all }.
end-signed-out = Vous vous êtes déconnecté.
end-signed-in-again = Quelqu’un d’autre s’est connecté avec ce navigateur.
end-revoked-by-user = Vous l’avez déconnectée.
end-revoked-by-app = Vous vous êtes déconnecté dans l’application.
end-revoked-by-operator = L’administration y a mis fin.
end-superseded = Vous avez rouvert l’application dans le même navigateur.
end-password-changed = Votre mot de passe a été changé.
end-account-closed = Vous avez fermé votre compte.
end-factors-reset = L’administration a supprimé vos clés d’accès et votre application d’authentification.
end-user-disabled = Votre compte a été désactivé.
end-client-disabled = L’application a été désactivée.
end-client-changed = L’application ne peut plus rester connectée. Rouvrez-la.
end-reuse = Elle a servi deux fois : depuis { $first } et depuis { $second }. Si l’un d’eux n’est pas vous, changez votre mot de passe.
end-reuse-server = { $app } a présenté de nouveau un ancien jeton, sa session a donc été terminée ({ $first } et { $second }). Si vous n’avez rien restauré ni copié, dites-le à l’équipe de l’application.
end-expired = Elle n’a pas servi depuis longtemps.
end-unknown = Elle est terminée.
followers-title = Qui apprend la fin d’une session
followers-lead = Pour l’administration : les applications et API connectées, dont chacune refuse ce qu’elle a confirmé.
follower-confirmed = connaît tout ce qui s’est terminé jusqu’à
follower-silent = n’a encore rien confirmé

## Account
account-title = Compte
profile-title = Profil
language = Langue
language-browser = Celle de mon navigateur
time-zone = Fuseau horaire
time-zone-browser = Celui de mon navigateur
time-zone-hint = Les heures de ces pages et des e-mails sont dans ce fuseau. Sans choix, les e-mails les donnent en UTC.
picture-title = Photo
picture-alt = Votre photo
picture-remove = Supprimer la photo
picture-new = Choisir une photo
picture-hint = PNG, JPEG ou WebP, 8 Mo au plus. Le milieu en est montré.
picture-save = Enregistrer la photo
email-confirmed = Confirmée
email-unconfirmed = Non confirmée
email-confirm = Confirmer cette adresse
email-new = Nouvelle adresse e-mail
email-change = Changer d’adresse e-mail
email-change-hint = Nous envoyons un lien à la nouvelle adresse, et prévenons l’ancienne.
email-same = C’est déjà votre adresse.
data-title = Vos données
data-lead = Tout ce qui est enregistré ici à votre sujet, et ce qui est arrivé à votre compte.
data-export = Télécharger mes données
close-title = Fermer le compte
close-lead = { $days ->
    [one] Vous serez déconnecté partout. Vous pouvez changer d’avis pendant { $days } jour ; ensuite, le compte est supprimé.
   *[other] Vous serez déconnecté partout. Vous pouvez changer d’avis pendant { $days } jours ; ensuite, le compte est supprimé.
}
close-ask = Fermer votre compte ? Vous serez déconnecté de tous les autres appareils.
close-submit = Fermer le compte
closing-soon = Votre compte est fermé. Il sera supprimé le
closing-keep = Garder mon compte
done-email-sent = Nous vous avons envoyé un lien pour confirmer votre adresse.
done-email-change-sent = Nous avons envoyé un lien à la nouvelle adresse. Ouvrez-le pour changer d’adresse.
done-email-confirmed = Votre adresse est confirmée.
done-closed = Votre compte est fermé. Vous pouvez le garder jusqu’au jour indiqué.
done-kept = Votre compte reste ouvert.
confirm-email-title = Confirmez votre adresse
confirm-email-lead = { $email } doit être l’adresse de votre compte.
change-email-lead = { $email } doit être la nouvelle adresse de votre compte.

## Security
security-title = Sécurité
sign-in-to-change = Se reconnecter pour modifier
passkeys-title = Clés d’accès
passkeys-lead = Connectez-vous avec votre empreinte, votre visage ou le code d’un appareil. Une clé d’accès ne fonctionne que sur ce site : aucun autre ne peut la voler.
passkey-add = Ajouter une clé d’accès
passkey-added = ajoutée
passkey-unused = pas encore utilisée
passkey-synced = Dans votre gestionnaire de mots de passe
passkey-one-device = Sur un appareil
passkey-name = Nom de la clé d’accès
passkey-ask = Supprimer « { $name } » ? Vous ne pourrez plus vous connecter avec elle.
passkey-known = Cet appareil a déjà une clé d’accès pour votre compte.
passkey-too-many = Vous avez 20 clés d’accès. Supprimez-en une d’abord.
passkey-script = L’ajout d’une clé d’accès demande JavaScript.
passkey-unavailable = Les clés d’accès ne sont pas disponibles à cette adresse.
totp-title = Application d’authentification
totp-lead = Un code d’une application sur votre téléphone, demandé après votre mot de passe.
totp-set-up = Configurer une application d’authentification
totp-scan = Scannez ceci avec votre application d’authentification, puis saisissez le code qu’elle affiche.
totp-qr = Code QR pour votre application d’authentification
totp-by-hand = Saisir à la main
totp-code = Code de votre application
totp-code-hint = Six chiffres.
totp-turn-on = Activer
totp-ask = Désactiver l’application d’authentification ? Votre compte sera protégé par ce qui reste.
recovery-title = Codes de secours
recovery-left = { $count ->
    [0] Vous n’avez pas de codes de secours. Créez-en : ils vous laissent entrer quand vos autres appareils sont perdus.
    [one] Il vous reste { $count } code de secours. Créez-en bientôt d’autres.
    [2] Il vous reste { $count } codes de secours. Créez-en bientôt d’autres.
   *[other] Il vous reste { $count } codes de secours. Chacun sert une fois, quand vos autres appareils sont perdus.
}
recovery-make = Créer de nouveaux codes
recovery-ask = Créer de nouveaux codes ? Les anciens ne fonctionneront plus.
recovery-new = Vos codes de secours
recovery-keep = Gardez-les là où vous les trouverez sans vos appareils. Chacun sert une fois. Ils ne seront plus affichés.
password-change = Changer le mot de passe
password-change-lead = Vous serez déconnecté de tous les autres appareils.
password-current = Mot de passe actuel
password-new = Nouveau mot de passe
password-wrong = Le mot de passe actuel est incorrect.
password-same = Le nouveau mot de passe doit être différent de l’actuel.
done-password-changed = Votre mot de passe a été changé. Vous êtes déconnecté de tous les autres appareils.
done-passkey-added = Votre clé d’accès a été ajoutée.
done-passkey-removed = La clé d’accès a été supprimée.
done-totp-added = Votre application d’authentification est activée.
done-totp-removed = L’application d’authentification est désactivée.

## Activity
activity-title = Activité récente
activity-lead = Ce qui est arrivé à votre compte, du plus récent au plus ancien. Quelque chose vous est inconnu ?
activity-filter = N’afficher que
activity-all = Tout
activity-none = Rien ici
activity-none-why = Rien de tel n’est arrivé.
event-unknown = Événement inconnu ({ $kind })
event-times = { $what }, { $count } fois
event-identity-started = Connexion
event-identity-refused = Échec de connexion
event-identity-ended = Déconnexion
event-family-started = Application ouverte
event-family-ended = Déconnexion d’une application
event-family-reuse = Une session a été terminée : son jeton a servi deux fois
event-family-grace-elsewhere = Une session a servi à deux endroits
event-device-ended = Appareil déconnecté
event-device-renamed = Appareil renommé
event-device-requested = Un appareil a demandé à être connecté
event-device-approved = Connexion sur un autre appareil par un code
event-device-denied = Connexion sur un autre appareil refusée
event-agent-allowed = Agent autorisé
event-agent-denied = Agent refusé
event-user-sessions-ended = Autres appareils déconnectés
event-user-made = Compte créé
event-user-password-changed = Mot de passe changé
event-user-password-reset = Mot de passe remplacé
event-user-email-confirmed = Adresse e-mail confirmée
event-user-directory-changed = Noms ou groupes modifiés par un administrateur
event-user-email-changed = Adresse e-mail changée
event-user-profile-changed = Profil modifié
event-user-data-exported = Données téléchargées
event-user-closed = Compte fermé
event-user-kept = Compte gardé
event-user-deleted = Compte supprimé
event-passkey-added = Clé d’accès ajoutée
event-passkey-removed = Clé d’accès supprimée
event-totp-added = Application d’authentification activée
event-totp-removed = Application d’authentification désactivée
event-recovery-codes-made = Codes de secours créés
event-recovery-codes-used = Connexion avec un code de secours
event-factor-refused = Échec d’une seconde étape
event-factor-reset = Clés d’accès et application d’authentification supprimées par l’administration
event-user-disabled = Compte désactivé
event-user-enabled = Compte activé
event-invitation-made = Invitation créée
event-invitation-accepted = Invitation acceptée
event-app-made = Application enregistrée
event-app-changed = Application modifiée
event-app-secret-rotated = Nouveau secret pour une application
event-app-enabled = Application activée
event-app-disabled = Application désactivée
event-app-removed = Application retirée par elle-même
event-registration-token-made = Jeton d’enregistrement d’applications créé
event-registration-token-revoked = Jeton d’enregistrement d’applications révoqué
event-client-refused = Requêtes d’une application refusées
event-key-made = Clé de signature créée
event-key-signing = Clé de signature en service
event-key-retired = Clé de signature retirée du service
event-key-revoked = Clé de signature retirée
event-everything-ended = Toutes les sessions de tous les comptes terminées
event-stream-added = Destinataire d’événements de sécurité ajouté
event-stream-removed = Destinataire d’événements de sécurité supprimé
event-settings-seen = Réglages modifiés

## Questions
continue-title = Continuer vers { $app } ?
continue-question = Un programme sur cet appareil veut vous connecter à { $app } en tant que { $email }. Ne continuez que si vous venez de lancer { $app } vous-même.
agent-badge = Agent
allow-title = Autoriser { $app } ?
allow-question = { $app } est un agent : un programme qui agit seul pour vous. Il demande l’accès à votre compte { $email }.
allow-scopes = Il pourra
allow-apis = Travaille avec
allow-publisher = Vient de
allow-publisher-why = Seule cette adresse est sûre : chacun peut écrire n’importe quel nom.
allow-answer-to = La réponse va à
allow-here = { $place }, un programme sur cet appareil
allow-how-long = Durée
allow-ends = Pendant { $most }.
allow-ends-idle = Pendant { $most } au plus, ou jusqu’à ce qu’il ne serve pas pendant { $idle }. Vous pouvez y mettre fin plus tôt sous Appareils.
allow-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
allow-hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
allow-days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
allow-warning = N’autorisez que si vous venez de le lancer vous-même. Ce qu’un agent lit peut l’amener à faire ce que vous ne voulez pas.
allow = Autoriser
allow-not = Ne pas autoriser
scope-openid = Savoir quel compte est le vôtre
scope-profile = Voir votre nom, votre image, votre langue et votre fuseau horaire
scope-email = Voir votre adresse e-mail
scope-roles = Voir vos rôles
scope-groups = Voir vos groupes
scope-offline-access = Continuer en votre absence
scope-other = Utiliser « { $scope } »
device-title = Se connecter sur un appareil
device-lead = Saisissez le code affiché par votre appareil.
device-code = Code
device-code-hint = Huit lettres, comme BCDF-GHJK.
device-unknown = Ce code n’existe pas, ou il a déjà servi ou a expiré. Vérifiez-le, ou demandez à votre appareil d’en afficher un nouveau.
device-question-title = Se connecter à { $app } sur un appareil ?
device-question = Un appareil demande à utiliser { $app } en tant que { $email }. Comparez le code avec celui qu’il affiche.
device-warning = Ne continuez que si vous avez commencé vous-même, sur un appareil devant vous. Si quelqu’un vous a envoyé ce code ou ce lien, annulez : le support ne demande jamais cela.
device-app = Application
device-code-shown = Code
device-place = Demandé depuis
device-browser = Appareil
device-asked = Demandé
device-approved = Votre appareil est connecté
    .message = Vous pouvez fermer cette page et continuer là-bas. Vous trouvez l’appareil sous « Appareils », où vous pouvez le déconnecter.
device-denied = L’appareil n’est pas connecté
    .message = Il n’a aucun accès à votre compte. Si quelqu’un vous a envoyé le code, dites-le à votre administrateur.
logout-title = Se déconnecter ?
logout-app = { $app } veut vous déconnecter ici. Cela termine votre session dans toutes les applications de ce navigateur.
logout-some-app = Une application veut vous déconnecter ici. Cela termine votre session dans toutes les applications de ce navigateur.
stay-signed-in = Rester connecté

## Errors
error-bad-request = Cela n’a pas fonctionné
    .message = La demande est incompréhensible. Si une application vous a envoyé ici, dites-le à son équipe.
error-not-found = Page introuvable
    .message = L’adresse est peut-être mal saisie, ou ce qui était ici n’existe plus.
error-method = Cela n’est pas possible ici
    .message = Cette adresse ne répond pas à ce genre de demande.
error-not-by-script = Cela n’est pas possible ici
    .message = On ouvre une application en suivant un lien.
error-unavailable = Veuillez réessayer dans un instant
    .message = Le service ne peut pas répondre pour le moment. Rien n’est perdu.
error-unanswered = Veuillez réessayer dans un instant
    .message = Le service ne peut pas répondre pour le moment. Renvoyez la même demande.
error-too-many = { $minutes ->
    [one] Trop de tentatives. Réessayez dans { $minutes } minute.
   *[other] Trop de tentatives. Réessayez dans { $minutes } minutes.
}
    .message = Cela protège les comptes contre ceux qui devinent. Rien n’est perdu.
error-server = Un problème est survenu chez nous
    .message = L’erreur a été enregistrée. Veuillez réessayer plus tard.
error-cursor = Ce lien ne convient pas ici
    .message = Il mène à une page d’une autre liste. Ouvrez la liste depuis le début.
error-form-expired = Veuillez réessayer
    .message = Le formulaire ne venait pas d’une de nos pages, ou votre navigateur a été relancé entre-temps. Revenez en arrière, rechargez la page et renvoyez-le.
error-too-large = C’était trop
    .message = Le formulaire dépasse 64 Kio.
error-too-slow = Cela a pris trop de temps
    .message = Le formulaire n’est pas arrivé à temps. Veuillez le renvoyer.
error-attempt-expired = Cette connexion a expiré
    .message = Elle a été commencée il y a trop longtemps, ou dans un autre navigateur. Revenez à l’application et connectez-vous-y de nouveau.
error-broken-link = Ce lien ne fonctionne pas
    .message = Une application vous a envoyé ici avec une demande à laquelle on ne peut répondre. Dites-le à son équipe.
error-registration-closed = L’inscription est fermée
    .message = Ici, c’est l’administration qui crée les comptes. Adressez-vous à elle.
error-invitation = Cette invitation n’est plus valable
    .message = Elle a déjà servi ou a expiré. Demandez-en une nouvelle.
error-link-expired = Ce lien n’est plus valable
    .message = Il a déjà servi ou a expiré. Demandez-en un nouveau là où vous l’avez obtenu.
error-email-taken = Cette adresse appartient à un autre compte
    .message = Connectez-vous à ce compte, ou choisissez une autre adresse.

## Mails
mail-footer = { $brand } · { $url } · Cet e-mail a été envoyé automatiquement.
mail-ignore = Si vous n’avez rien demandé, ignorez cet e-mail. Rien ne se passera.
mail-not-you = C’était vous ? Alors il n’y a rien à faire. Sinon, protégez votre compte avec le lien.
mail-place = { $agent }, { $ip }
mail-register = Confirmez votre adresse e-mail
    .text = Bienvenue chez { $brand }. Confirmez votre adresse pour créer votre compte. Le lien est valable un jour.
mail-register-link = Confirmer et continuer
mail-known = Vous avez déjà un compte
    .text = Quelqu’un, vous sans doute, a voulu utiliser cette adresse chez { $brand }. Elle a déjà un compte, il n’y a donc rien à créer.
mail-known-link = Choisir un nouveau mot de passe
mail-reset = Choisissez un nouveau mot de passe
    .text = Voici le lien pour choisir un nouveau mot de passe pour { $brand }. Il est valable 30 minutes et sert une fois.
mail-reset-link = Choisir un nouveau mot de passe
mail-code = Votre code de connexion
    .text = Saisissez ce code dans le navigateur où vous l’avez demandé. Il est valable dix minutes.
mail-code-otherwise = Ne donnez ce code à personne. Si vous ne l’avez pas demandé, ignorez cet e-mail.
mail-confirm = Confirmez votre adresse e-mail
    .text = Confirmez que c’est l’adresse de votre compte chez { $brand }. Le lien est valable un jour.
mail-confirm-link = Confirmer cette adresse
mail-change = Confirmez votre nouvelle adresse e-mail
    .text = Confirmez que ce sera la nouvelle adresse de votre compte chez { $brand }. Le lien est valable un jour.
mail-change-link = Utiliser cette adresse
mail-invitation = Vous êtes invité chez { $brand }
    .text = L’administration de { $brand } vous invite à créer un compte. Le lien sert une fois.
mail-invitation-link = Créer votre compte
mail-look-link = Voir votre compte
mail-new-browser = Nouvelle connexion à { $brand }
    .text = Votre compte a servi à se connecter sur un appareil que nous ne connaissions pas.
mail-password-changed = Votre mot de passe a été changé
    .text = Le mot de passe de votre compte chez { $brand } a été changé. Tous les autres appareils ont été déconnectés.
mail-password-reset = Votre mot de passe a été remplacé
    .text = Le mot de passe de votre compte chez { $brand } a été remplacé. Tous les appareils ont été déconnectés.
mail-reuse = Une session a été terminée pour votre sécurité
    .text = Un jeton de { $about } a servi deux fois, depuis les endroits ci-dessous. La session a été terminée, car l’un d’eux peut être un voleur.
mail-device-approved = Un appareil a été connecté par un code
    .text = Un appareil a été connecté à { $about } avec votre compte { $brand }, parce que son code a été saisi et confirmé.
mail-agent-allowed = Un agent peut agir pour vous
    .text = Vous avez autorisé l’agent { $about } à agir pour vous avec votre compte { $brand }.
mail-email-changed = Votre adresse e-mail va changer
    .text = Quelqu’un qui est connecté à votre compte chez { $brand } veut remplacer son adresse par { $about }.
mail-passkey-added = Une clé d’accès a été ajoutée
    .text = Une clé d’accès a été ajoutée à votre compte chez { $brand }.
mail-passkey-removed = Une clé d’accès a été supprimée
    .text = Une clé d’accès a été supprimée de votre compte chez { $brand }.
mail-totp-added = Une application d’authentification a été activée
    .text = Une application d’authentification a été activée pour votre compte chez { $brand }.
mail-totp-removed = L’application d’authentification a été désactivée
    .text = L’application d’authentification de votre compte chez { $brand } a été désactivée.
mail-recovery-used = Un code de secours a été utilisé
    .text = Quelqu’un s’est connecté à votre compte chez { $brand } avec l’un de vos codes de secours.
mail-factors-reset = Vos secondes étapes ont été supprimées
    .text = L’administration de { $brand } a supprimé les clés d’accès et l’application d’authentification de votre compte. Tous les appareils ont été déconnectés.
mail-closed = Votre compte est fermé
    .text = Votre compte chez { $brand } a été fermé et sera supprimé. Connectez-vous pour le garder.
mail-activity = Quelque chose a changé dans votre compte
    .text = Voyez ce qui est arrivé dans votre compte chez { $brand }.

## The demo
demo-mail-title = E-mails de cette démo
demo-mail-lead = Il n’y a pas de serveur de messagerie ici : ce qui serait envoyé est montré à tous.
demo-mail-none = Pas encore d’e-mail
demo-mail-none-why = Créez un compte, ou demandez un nouveau mot de passe.
