"""REST: the RPCs of ``member.v1.MemberService`` as JSON under ``/v1/members``."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from member.callers import Caller
from member.errors import InvalidInputError, Violation
from member.members import Changes, SignUp
from member.service import MemberService
from member.web import docs, problems, schemas
from member.web.answering import AnsweringRoute
from member.web.callers import caller_of

_PREFIX = "/v1"
_SILENT: dict[str, Any] = {"status_code": 204, "response_class": Response}
_QUEUED: dict[str, Any] = {"status_code": 202, "response_class": Response}
_ACCESS_TOKEN = Security(
    HTTPBearer(
        auto_error=False,
        bearerFormat="JWT",
        scheme_name="access_token",
        description="The access token of LoginMember.",
    )
)


ErrorPage: TypeAlias = Callable[[Request, Exception], Awaitable[Response]]


def add_to(app: FastAPI, service: MemberService, *, documented: bool, otherwise: ErrorPage) -> None:
    """Serve *service* under ``/v1`` of *app*, with documentation if it is *documented*.

    *otherwise* answers errors of the HTTP server on other paths.
    """
    rest = router(service)
    app.include_router(rest)
    if documented:
        app.include_router(docs.router(rest))
        app.mount(docs.ASSETS, docs.assets())
    app.router.redirect_slashes = False

    async def http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if not request.url.path.startswith(f"{_PREFIX}/"):
            return await otherwise(request, error)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            error.headers = {"Allow": _methods_of(rest, request.url.path)}
        return problems.of_http(error)

    app.add_exception_handler(HTTPException, http_error)


def _methods_of(routes: APIRouter, path: str) -> str:
    """Return all methods of *path*; the framework would name only those of the first route."""
    found = [
        route.methods or set()
        for route in routes.routes
        if isinstance(route, APIRoute) and route.path_regex.match(path)
    ]
    return ", ".join(sorted(set[str]().union(*found)))


Whoever: TypeAlias = Annotated[Caller, Depends(caller_of)]
Membername: TypeAlias = Annotated[str, Path(description="Name of the member.", examples=["alice"])]
SessionId: TypeAlias = Annotated[str, Path(description="The `session_id` of ListSessions.")]


class _Rest:
    """FairSlots requests into calls of the service, and its results into responses."""

    def __init__(self, service: MemberService) -> None:
        self._service = service

    async def create_member(
        self,
        who: Whoever,
        asked: schemas.CreateMemberRequest,
        response: Response,
        idempotency_key: Annotated[
            str, Header(alias="Idempotency-Key", description="The same as the field request_id.")
        ] = "",
    ) -> schemas.MemberResponse:
        """Store a member and queue the mail that verifies the address."""
        sign_up = SignUp(**asked.model_dump(exclude={"request_id"}))
        request_id = _one_of(asked.request_id, idempotency_key)
        member = await self._service.sign_up.create_member(who, sign_up, request_id)
        response.headers["Location"] = f"{_PREFIX}/members/{member.membername}"
        return schemas.MemberResponse(member=schemas.Member.of(member))

    async def get_member(self, who: Whoever, membername: Membername) -> schemas.MemberResponse:
        """Return a member: the caller, or for an administrator anyone."""
        member = await self._service.members.get(who, membername)
        return schemas.MemberResponse(member=schemas.Member.of(member))

    async def update_member(
        self, who: Whoever, membername: Membername, asked: schemas.UpdateMemberRequest
    ) -> schemas.MemberResponse:
        """Change the fields that are set. A new address takes effect once it is verified."""
        changes = Changes(**asked.model_dump())
        member = await self._service.members.update(who, membername, changes)
        return schemas.MemberResponse(member=schemas.Member.of(member))

    async def change_password(
        self, who: Whoever, membername: Membername, asked: schemas.ChangePasswordRequest
    ) -> None:
        """Set a new password and end all other sessions."""
        await self._service.members.change_password(
            who, membername, current=asked.current_password, new=asked.new_password
        )

    async def delete_member(self, who: Whoever, membername: Membername) -> None:
        """Remove a member and everything about it: the caller, or for an administrator anyone."""
        await self._service.members.delete(who, membername)

    async def list_members(
        self, who: Whoever, asked: Annotated[schemas.ListMembersRequest, Query()]
    ) -> schemas.ListMembersResponse:
        """Return all members to an administrator, sorted by member name."""
        page = await self._service.members.list_page(
            who, size=asked.page_size, token=asked.page_token
        )
        return schemas.ListMembersResponse(
            members=[schemas.Member.of(member) for member in page.members],
            next_page_token=page.next_token,
        )

    async def login_member(
        self, who: Whoever, asked: schemas.LoginMemberRequest
    ) -> schemas.LoginMemberResponse:
        """Begin a session."""
        begun = await self._service.sessions.log_in(who, asked.membername, asked.password)
        return schemas.LoginMemberResponse(
            session=schemas.Session.of(begun.tokens), member=schemas.Member.of(begun.member)
        )

    async def renew_access_token(
        self, who: Whoever, asked: schemas.RenewAccessTokenRequest
    ) -> schemas.RenewAccessTokenResponse:
        """Exchange a refresh token for a new access token and the next refresh token."""
        tokens = await self._service.sessions.renew(who, asked.refresh_token)
        return schemas.RenewAccessTokenResponse(session=schemas.Session.of(tokens))

    async def logout_member(self, who: Whoever, asked: schemas.LogoutMemberRequest) -> None:
        """End the session of a refresh token. The answer is the same if it had ended before."""
        await self._service.sessions.log_out(who, asked.refresh_token)

    async def list_sessions(
        self, who: Whoever, membername: Membername
    ) -> schemas.ListSessionsResponse:
        """Return the sessions of a member: of the caller, or for an administrator of anyone."""
        live = await self._service.live_sessions.list_all(who, membername)
        return schemas.ListSessionsResponse(sessions=[schemas.LiveSession.of(one) for one in live])

    async def end_session(
        self, who: Whoever, membername: Membername, session_id: SessionId
    ) -> None:
        """End one session of a member and its access token at once."""
        await self._service.live_sessions.end(who, membername, session_id)

    async def end_all_sessions(
        self,
        who: Whoever,
        membername: Membername,
        asked: Annotated[schemas.EndAllSessionsRequest, Query()],
    ) -> None:
        """End all sessions of a member; with `keep_current`, all but the caller's."""
        await self._service.live_sessions.end_all(who, membername, keep_current=asked.keep_current)

    async def verify_email(
        self, who: Whoever, asked: schemas.VerifyEmailRequest
    ) -> schemas.VerifyEmailResponse:
        """Verify an address with the token of a verification mail."""
        verified = await self._service.verifications.verify(who, asked.token)
        return schemas.VerifyEmailResponse(
            member=schemas.Member.of(verified.member), already_verified=verified.already
        )

    async def resend_verify_email(
        self, who: Whoever, asked: schemas.ResendVerifyEmailRequest
    ) -> None:
        """Queue a new verification mail. The answer is the same for every address."""
        await self._service.verifications.resend(who, asked.email)

    async def request_password_reset(
        self, who: Whoever, asked: schemas.RequestPasswordResetRequest
    ) -> None:
        """Queue a mail with a link that sets a new password.

        The answer is the same for every address.
        """
        await self._service.password_resets.request(who, asked.email)

    async def reset_password(self, who: Whoever, asked: schemas.ResetPasswordRequest) -> None:
        """Set a new password with the token of such a mail, and end all sessions."""
        await self._service.password_resets.reset(who, asked.token, asked.new_password)


def _one_of(request_id: str, idempotency_key: str) -> str:
    """Return the id of a sign-up, from the field or from the header."""
    if request_id and idempotency_key and request_id != idempotency_key:
        violation = Violation("request_id", "must be the same as the header Idempotency-Key")
        raise InvalidInputError((violation,))
    return request_id or idempotency_key


def router(service: MemberService) -> APIRouter:
    """Return the routes of *service*, one for each RPC and with its name."""
    rest = _Rest(service)
    routes = APIRouter(prefix=_PREFIX, route_class=AnsweringRoute)
    _add_members(routes, rest)
    _add_sessions(routes, rest)
    _add_live_sessions(routes, rest)
    _add_verifications(routes, rest)
    _add_password_resets(routes, rest)
    return routes


def _add_members(routes: APIRouter, rest: _Rest) -> None:
    many, one = "/members", "/members/{membername}"
    create = docs.operation("CreateMember", "members", 400, 409, 413)
    create["responses"][201] = {"headers": {"Location": docs.header("Path of the new member.")}}
    change = _authenticated("UpdateMember", 400, 404, 409, 413)
    password = _authenticated("ChangePassword", 400, 413)
    routes.post(many, status_code=201, **create)(rest.create_member)
    routes.get(many, **_authenticated("ListMembers"))(rest.list_members)
    routes.get(one, **_authenticated("GetMember", 404))(rest.get_member)
    routes.patch(one, **change)(rest.update_member)
    routes.delete(one, **_SILENT, **_authenticated("DeleteMember", 404))(rest.delete_member)
    routes.put(f"{one}/password", **_SILENT, **password)(rest.change_password)


def _add_sessions(routes: APIRouter, rest: _Rest) -> None:
    login = docs.operation("LoginMember", "sessions", 400, 401, 413)
    renew = docs.operation("RenewAccessToken", "sessions", 400, 401, 413)
    logout = docs.operation("LogoutMember", "sessions", 400, 413)
    routes.post("/members:login", **login)(rest.login_member)
    routes.post("/members:renewAccessToken", **renew)(rest.renew_access_token)
    routes.post("/members:logout", **_SILENT, **logout)(rest.logout_member)


def _add_live_sessions(routes: APIRouter, rest: _Rest) -> None:
    many, one = "/members/{membername}/sessions", "/members/{membername}/sessions/{session_id}"
    show = _authenticated("ListSessions", 404, tag="sessions")
    end = _authenticated("EndSession", 404, tag="sessions")
    end_all = _authenticated("EndAllSessions", 404, tag="sessions")
    routes.get(many, **show)(rest.list_sessions)
    routes.delete(one, **_SILENT, **end)(rest.end_session)
    routes.delete(many, **_SILENT, **end_all)(rest.end_all_sessions)


def _add_verifications(routes: APIRouter, rest: _Rest) -> None:
    verify = docs.operation("VerifyEmail", "verification", 400, 404, 409, 410, 413)
    resend = docs.operation("ResendVerifyEmail", "verification", 400, 413)
    routes.post("/members:verifyEmail", **verify)(rest.verify_email)
    routes.post("/members:resendVerifyEmail", **_QUEUED, **resend)(rest.resend_verify_email)


def _add_password_resets(routes: APIRouter, rest: _Rest) -> None:
    request = docs.operation("RequestPasswordReset", "passwords", 400, 413)
    reset = docs.operation("ResetPassword", "passwords", 400, 404, 410, 413)
    routes.post("/members:requestPasswordReset", **_QUEUED, **request)(rest.request_password_reset)
    routes.post("/members:resetPassword", **_SILENT, **reset)(rest.reset_password)


def _authenticated(rpc: str, *refusals: int, tag: str = "members") -> dict[str, Any]:
    """Return the description of a route that needs an access token."""
    operation = docs.operation(rpc, tag, 401, 403, *refusals)
    return operation | {"dependencies": [_ACCESS_TOKEN]}
