"""The second factor of people: an authenticator app, and codes on paper for when it is lost."""

import base64
import secrets

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import SECOND
from carcloud.services.tenancy import throttle, totp
from carcloud.services.tenancy.desk import Desk, hashed, note
from carcloud.services.tenancy.errors import Exists, Invalid, Unknown
from carcloud.services.tenancy.people import People
from carcloud.services.tenancy.proof import check_password, note_refused, only_person
from carcloud.services.tenancy.store import recovery_codes, second_factor_drafts, sessions, users
from carcloud.services.tenancy.types import Enrolment, Identity, SecondFactorState

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10  # 80 random bits: a plain hash hides them
_DRAFT_S = 900  # after which an enrolment that was not confirmed is forgotten
_WRONG = "this code is wrong, or was used before"


class SecondFactor:
    """Sets it up, checks codes, turns it off. Only a person in a session of their own may."""

    def __init__(self, desk: Desk, people: People) -> None:
        self._desk = desk
        self._people = people

    def state(self, who: Identity) -> SecondFactorState:
        """Whether it is on, and how many recovery codes are left."""
        with self._desk.records.reading() as db:
            row = db.execute(select(users.c.totp).where(users.c.name == who.user)).first()
            mine = select(func.count()).where(recovery_codes.c.user == who.user)
            on = row is not None and row.totp is not None
            return SecondFactorState(on, db.execute(mine).scalar_one() if on else 0)

    def begin(self, who: Identity, password: str, *, issuer: str, address: str = "") -> Enrolment:
        """A new secret to put into an app; nothing changes before `confirm`.

        Raises `Denied` for keys and tokens, `Invalid` for a wrong password, `Throttled`,
        `Exists` while it is on, `NoSecret`.
        """
        check_password(
            self._desk, who, password, address=address, field="password",
            action="user.second-factor",
        )  # fmt: skip
        if self.state(who).on:
            raise Exists("the second factor is on already: turn it off first")
        secret = secrets.token_bytes(totp.SECRET_BYTES)
        sealed = self._desk.seal.close(_owner(who.user), secret)
        with self._desk.records.transaction() as db:
            mine = second_factor_drafts.c.user == who.user
            db.execute(delete(second_factor_drafts).where(mine))
            values = {"user": who.user, "secret": sealed, "created": self._desk.now()}
            db.execute(insert(second_factor_drafts).values(values))
        return Enrolment(totp.readable(secret), totp.uri(secret, who.user, issuer))

    def confirm(self, who: Identity, code: str) -> list[str]:
        """Turn it on with a first code from the app; returns recovery codes, told once.

        Raises `Denied`, `Invalid` for a wrong code, `Unknown` if nothing was begun lately,
        `Throttled`.
        """
        only_person(who)
        now = self._desk.now()
        with self._desk.records.transaction() as db:
            throttle.count_code(db, who.user, now)
        with self._desk.records.transaction() as db:
            mine = second_factor_drafts.c.user == who.user
            draft = db.execute(select(second_factor_drafts).where(mine)).first()
            if draft is None or draft.created < now - _DRAFT_S * SECOND:
                raise Unknown("begin anew: nothing was begun in the last minutes")
            secret = self._desk.seal.open(_owner(who.user), draft.secret)
            step = None if secret is None else totp.matching_step(secret, plain(code), now, 0)
            if step is None:
                raise Invalid("code", _WRONG)
            off = (users.c.name == who.user) & users.c.totp.is_(None)
            on = update(users).where(off).values(totp=draft.secret, totp_step=step)
            if db.execute(on).rowcount == 0:
                raise Exists("the second factor is on already: turn it off first")
            db.execute(delete(second_factor_drafts).where(mine))
            others = (sessions.c.user == who.user) & (sessions.c.id != who.session)
            db.execute(delete(sessions).where(others))  # they were opened with less
            throttle.forgive_code(db, who.user)
            note(db, who.tenant, who.user, "user.second-factor", who.user, {"on": False},
                 {"on": True})  # fmt: skip
            return _new_codes(db, who.user)

    def renew_codes(self, who: Identity, code: str) -> list[str]:
        """Other recovery codes in place of those that were told; raises as `turn_off`."""
        only_person(who)
        self._check(who, code)
        with self._desk.records.transaction() as db:
            note(db, who.tenant, who.user, "user.recovery-codes", who.user)
            return _new_codes(db, who.user)

    def turn_off(self, who: Identity, code: str) -> None:
        """Sign in with the password alone again; needs a code from the app, or a recovery code.

        Raises `Denied`, `Invalid` for a wrong code, `Unknown` if it is off, `Throttled`.
        """
        only_person(who)
        self._check(who, code)
        with self._desk.records.transaction() as db:
            self._clear(db, who.user)
            note(db, who.tenant, who.user, "user.second-factor", who.user, {"on": True},
                 {"on": False})  # fmt: skip

    def reset(self, tenant: Tenant, name: str, *, by: Identity) -> None:
        """Take it from somebody who lost it, in the tenant that they belong to; their sessions
        end. Nothing happens if there is none. Raises `Unknown`, `Denied`."""
        with self._desk.records.transaction() as db:
            if not self._people.mine(db, tenant, name, by).second_factor:
                return
            self._clear(db, name)
            db.execute(delete(sessions).where(sessions.c.user == name))
            note(db, tenant, by.user, "user.second-factor", name, {"on": True}, {"on": False})

    def spend(self, user: str, code: str) -> bool:
        """Whether this is a good code of somebody who gave the right password; it is used up.

        Raises `Throttled` after some wrong ones, from wherever they came.
        """
        now = self._desk.now()
        with self._desk.records.transaction() as db:
            throttle.count_code(db, user, now)
        with self._desk.records.transaction() as db:
            good = self._spend(db, user, plain(code), now)
            if good:
                throttle.forgive_code(db, user)
            return good

    def _spend(self, db: Connection, user: str, code: str, now: int) -> bool:
        row = db.execute(select(users).where(users.c.name == user)).mappings().first()
        if row is None or row["totp"] is None:
            return False
        if len(code) != totp.DIGITS:
            mine = (recovery_codes.c.user == user) & (recovery_codes.c.hash == hashed(code))
            return db.execute(delete(recovery_codes).where(mine)).rowcount == 1
        secret = self._desk.seal.open(_owner(user), row["totp"])
        if secret is None:
            return False
        step = totp.matching_step(secret, code, now, row["totp_step"])
        if step is None:
            return False
        fresh = (users.c.name == user) & (users.c.totp_step < step)  # no code works twice
        return db.execute(update(users).where(fresh).values(totp_step=step)).rowcount == 1

    def _check(self, who: Identity, code: str) -> None:
        if not self.state(who).on:
            raise Unknown("the second factor is off")
        if not self.spend(who.user, code):
            note_refused(self._desk, who, "user.second-factor")
            raise Invalid("code", _WRONG)

    def _clear(self, db: Connection, user: str) -> None:
        off = {"totp": None, "totp_step": 0}
        db.execute(update(users).where(users.c.name == user).values(off))
        db.execute(delete(recovery_codes).where(recovery_codes.c.user == user))


def lacks_second_factor() -> ColumnElement[bool]:
    """Of a row of `users`: signs in with a password alone. Who has none signs in at a provider,
    whose business it is then."""
    return users.c.password.is_not(None) & users.c.totp.is_(None)


def plain(code: str) -> str:
    """A code without what people put between its parts."""
    return "".join(c for c in code.lower() if c.isascii() and c.isalnum())


def _new_codes(db: Connection, user: str) -> list[str]:
    db.execute(delete(recovery_codes).where(recovery_codes.c.user == user))
    codes = [
        base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
        for _ in range(RECOVERY_CODES)
    ]
    db.execute(insert(recovery_codes), [{"user": user, "hash": hashed(code)} for code in codes])
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def _owner(user: str) -> str:
    return f"totp/{user}"
