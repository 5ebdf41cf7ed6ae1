"""Make the parts of the program from the settings."""

import pyasynq
from member import mailer
from member.addresses import host_and_port
from member.health import Health, Probe
from member.mail.letters import Letters
from member.mail.transport import MailboxFolder, MailTransport, SmtpTransport
from member.mailer import Mailer
from member.metrics import Metrics
from member.roles import ANSWERING_ROLES, Role
from member.scrape import Scrape, Source, Waiting
from member.service import Rules
from member.service.housekeeping import Housekeeping
from member.settings import Settings
from member.store.database import Database
from member.store.tables import OUTBOX
from member.tls import Certificate
from member.web.inbox import INBOX
from member.worker.distributor import (
    OutboxTaskDistributor,
    RedisTaskDistributor,
    TaskDistributor,
)
from member.worker.processor import RedisTaskProcessor
from member.worker.tasks import QUEUE_CRITICAL, QUEUE_DEFAULT
from pyasynq.metrics import QueueCollector

_QUEUES = {QUEUE_CRITICAL: 10, QUEUE_DEFAULT: 5}


def distributor(settings: Settings, database: Database, client: pyasynq.Client) -> TaskDistributor:
    """Return the distributor that TASK_DISTRIBUTOR names."""
    if settings.task_distributor == "redis":
        return RedisTaskDistributor(client)
    return OutboxTaskDistributor(OUTBOX, database)


def certificate(settings: Settings) -> Certificate | None:
    """Return the certificate of the servers; None without TLS."""
    files = settings.certificate_files
    return Certificate(files) if files else None


def health(settings: Settings, database: Database, client: pyasynq.Client) -> Health:
    """Return the health of the process.

    Redis is not essential with the role ``grpc`` or ``http``: members can still log in and verify,
    and sign up through the outbox. The other roles can do nothing without Redis.
    """
    return Health(
        Probe("database", database.ping, essential=True),
        Probe("redis", client.ping, essential=not settings.roles & ANSWERING_ROLES),
    )


def scrape(
    settings: Settings, metrics: Metrics, database: Database, inspector: pyasynq.Inspector
) -> Scrape:
    """Return the answer to scrapes; only the relay reports the outbox, only the worker queues."""
    sources: list[Source] = []
    if Role.RELAY in settings.roles:
        sources.append(Waiting(database))
    if Role.WORKER in settings.roles:
        sources.append(QueueCollector(inspector))
    return Scrape(metrics.registry, *sources)


def rules(settings: Settings) -> Rules:
    """Return the rules for tokens and mails."""
    return Rules(
        token_key=settings.token_key,
        verify_email_delay=settings.verify_email_delay,
        max_wrong=settings.verify_email_max_wrong,
        access_lifetime=settings.access_token_duration,
        refresh_lifetime=settings.refresh_token_duration,
        session_lifetime=settings.session_lifetime,
    )


def processor(
    settings: Settings, database: Database, public_url: str, metrics: Metrics
) -> RedisTaskProcessor:
    """Return the processor of tasks."""
    server = pyasynq.Server(
        settings.redis_address.get_secret_value(),
        concurrency=settings.worker_concurrency,
        queues=_QUEUES,
        shutdown_timeout=settings.shutdown_timeout,
    )
    housekeeping = Housekeeping(
        database=database, unverified_lifetime=settings.unverified_member_lifetime
    )
    sender = _mailer(settings, database, public_url)
    return RedisTaskProcessor(server, sender, housekeeping, metrics)


def _mailer(settings: Settings, database: Database, public_url: str) -> Mailer:
    return Mailer(
        database=database,
        letters=Letters(
            sender_name=settings.email_sender_name,
            sender_address=settings.sender_address,
            public_url=public_url,
        ),
        transport=_transport(settings, public_url),
        verifications=mailer.verifications(settings.token_key, settings.verify_email_lifetime),
        password_resets=mailer.password_resets(
            settings.token_key, settings.password_reset_lifetime
        ),
    )


def _transport(settings: Settings, public_url: str) -> MailTransport:
    if not settings.smtp_address:
        inbox = f"{public_url.rstrip('/')}{INBOX}" if settings.inbox_dir else ""
        return MailboxFolder(settings.mailbox_dir, inbox=inbox)
    host, port = host_and_port(settings.smtp_address)
    return SmtpTransport(
        host,
        port,
        security=settings.smtp_security,
        username=settings.sender_address,
        password=settings.email_sender_password.get_secret_value(),
    )
