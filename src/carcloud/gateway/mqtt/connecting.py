"""The way in: CONNECT, who it is, and the CONNACK (MQTT 5: 3.1, 3.2)."""

from typing import TYPE_CHECKING

from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.errors import wrong
from carcloud.codecs.mqtt.packets import V5, Connack, Connect, Packet
from carcloud.codecs.mqtt.properties import NONE, Properties
from carcloud.codecs.mqtt.reasons import Reason, return_code
from carcloud.codecs.mqtt.topics import is_up
from carcloud.gateway.admission import LOGIN_FAILED, Admission, Login
from carcloud.gateway.mqtt.downlink import Forbidden
from carcloud.gateway.mqtt.link import VehicleLink
from carcloud.gateway.mqtt.rules import PROTOCOL, Rules
from carcloud.gateway.mqtt.state import FOR_EVER, State
from carcloud.model.ids import Tenant

if TYPE_CHECKING:
    from carcloud.gateway.mqtt.session import Session

_TURNED_AWAY = "unknown here, or not by this token or certificate"
_LONGEST = 200  # characters of a client id and of a user name


def take_first(session: "Session", packet: Packet) -> None:
    """[MQTT-3.1.0-1]: the first packet is a CONNECT; raises `MqttError`."""
    if not isinstance(packet, Connect):
        raise wrong("[MQTT-3.1.0-1]", "the first packet is not CONNECT")
    session.version = packet.version
    vehicle = packet.username or packet.client_id
    reason = _refused(packet, vehicle)
    if reason is not None:
        _turn_away(session, reason, "")
        return
    token = None if packet.password is None else packet.password.decode("utf-8", "replace")
    login = Login(
        vehicle=vehicle,
        iccid="",
        protocol=PROTOCOL,
        address=session.address,
        edition=5 if packet.version >= V5 else 311,
        certificate=session.certificate(),
        token=token,
    )
    session.ask(session.gateway.desk, login, lambda found: _admitted(session, packet, login, found))


def _refused(packet: Connect, vehicle: str) -> Reason | None:
    """What is wrong with a CONNECT, whoever it may be."""
    if packet.properties.authentication_method is not None:  # [MQTT-4.12.0-1]
        return Reason.BAD_AUTHENTICATION_METHOD
    if not packet.client_id and not packet.clean_start and packet.version < V5:
        return Reason.BAD_CLIENT_ID  # 3.1.1 [MQTT-3.1.3-8]
    if not vehicle or len(vehicle) > _LONGEST or len(packet.client_id) > _LONGEST:
        return Reason.BAD_CLIENT_ID
    return None


def _admitted(session: "Session", packet: Connect, login: Login, found: Admission) -> None:
    gateway, tenant = session.gateway, found.tenant
    if tenant is not None:
        gateway.admitted(login.vehicle, found)
    if session.gone:
        return
    if tenant is None:
        if found is LOGIN_FAILED:
            _turn_away(session, Reason.SERVER_UNAVAILABLE, found.reason)
            return
        # Who has not proved who it is must not learn which vehicles there are.
        gateway.refused(login, found.reason)
        _turn_away(session, Reason.NOT_AUTHORIZED, _TURNED_AWAY)
        return
    limit = None
    if login.vehicle not in gateway.roster.vehicles:
        limit = gateway.quotas.refuses(tenant)
    if limit is not None:
        _turn_away(session, Reason.QUOTA_EXCEEDED, f"the tenant's limit {limit}")
    elif packet.will is not None and not is_up(login.vehicle, packet.will.topic):
        topic = packet.will.topic
        gateway.forbid(Forbidden(tenant, login.vehicle, session.address, "will", topic))
        _turn_away(session, Reason.NOT_AUTHORIZED, "a will on a topic that is not the vehicle's")
    else:
        _enter(session, packet, tenant, login.vehicle, found)


def _turn_away(session: "Session", reason: Reason, text: str) -> None:
    session.gateway.figures.logins_refused += 1
    refuse(session, reason, text, session.version)
    session.end(f"refused: {reason.name.lower()}", None, "")


def refuse(session: "Session", reason: Reason, text: str, version: int) -> None:
    """3.2: say why a CONNECT is not accepted, as the version can."""
    if version >= V5:
        told = Properties(reason_string=text[:200]) if text else NONE
        session.send(encode(Connack(False, reason, told), version))
    elif reason not in (Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR, Reason.PACKET_TOO_LARGE):
        session.send(encode(Connack(False, return_code(reason)), version))


def _enter(
    session: "Session", packet: Connect, tenant: Tenant, vehicle: str, found: Admission
) -> None:
    gateway, now = session.gateway, session.gateway.clock()
    client_id = packet.client_id or vehicle
    state = _taken_over(session, tenant, vehicle, client_id, clean=packet.clean_start)
    if state is None:
        state = gateway.states.take(tenant, vehicle, client_id, now)
    if state is not None and state.login and state.login != found.time:
        state = None  # the vehicle has been at another gateway since: what is here is out of date
    present = state is not None and not packet.clean_start
    gateway.take_back_will(vehicle, resumed=present)
    if state is None or packet.clean_start:
        state = State(tenant, vehicle, client_id)
    rules = gateway.rules
    state.expiry_s = _expiry(packet, rules)
    state.ended = None
    state.login = found.time
    link = VehicleLink(session, state, packet, _idle(packet, session), found.proof)
    session.logged_in(link)
    gateway.quotas.entered(tenant)
    gateway.figures.logins += 1
    gateway.sign_in(link)
    session.write(Connack(present, 0, _told(packet, rules, client_id, state.expiry_s)))
    link.down.resume()


def _taken_over(
    session: "Session", tenant: Tenant, vehicle: str, client_id: str, *, clean: bool
) -> State | None:
    """[MQTT-3.1.4-3]: the session of a connection that is still there."""
    before = session.gateway.roster.vehicles.get(vehicle)
    if not isinstance(before, VehicleLink) or before.tenant != tenant:
        return None
    state = before.hand_over()
    if clean or state.client_id != client_id or not state.expiry_s or state.worn:
        state.expiry_s = 0  # it ends now: a will does not wait for its delay
        return None
    before.drop_will()
    return state


def _expiry(packet: Connect, rules: Rules) -> int:
    """3.1.2.11.2, in s; 3.1.1: as long as may be, or not at all."""
    if packet.version >= V5:
        return min(packet.properties.session_expiry or 0, rules.session_s)
    return 0 if packet.clean_start else min(FOR_EVER, rules.session_s)


def _keep_alive(packet: Connect, rules: Rules) -> int:
    """3.2.2.3.14, in s: what version 5 is held to. 0 = only version 3.1.1: it has none."""
    if packet.version < V5:
        return packet.keep_alive
    return min(packet.keep_alive or rules.keep_alive_s, rules.keep_alive_s)


def _idle(packet: Connect, session: "Session") -> float:
    keep_alive = _keep_alive(packet, session.gateway.rules)
    return 1.5 * keep_alive if keep_alive else session.gateway.limits.idle_timeout_s


def _told(packet: Connect, rules: Rules, client_id: str, expiry_s: int) -> Properties:
    """3.2.2.3: what the client must know of the server."""
    if packet.version < V5:
        return NONE
    keep_alive = _keep_alive(packet, rules)
    return Properties(
        session_expiry=expiry_s if expiry_s != (packet.properties.session_expiry or 0) else None,
        receive_maximum=rules.receive_maximum,
        maximum_packet_size=rules.max_packet_bytes,
        assigned_client_id=None if packet.client_id else client_id,
        topic_alias_maximum=rules.topic_aliases,
        server_keep_alive=keep_alive if keep_alive != packet.keep_alive else None,
        subscription_ids_available=0,
        shared_available=0,
    )
