"""The operator's terminal: `ivr` and its commands. Each command's work has a file of its own."""

from ivr.cli.chat import run_chat
from ivr.cli.database import app as database_app
from ivr.cli.demo import run_call, run_demo
from ivr.cli.desk import choose
from ivr.cli.doctor import check_links
from ivr.cli.escalations import app as escalations_app
from ivr.cli.explain import explain_call
from ivr.cli.funnel import app as stages_app
from ivr.cli.keys import app as keys_app
from ivr.cli.leads import app as leads_app
from ivr.cli.review import app as review_app
from ivr.cli.rules import app as rules_app
from ivr.cli.serve import run_server
from ivr.cli.tasks import app as tasks_app
from ivr.cli.tenants import app as tenants_app
from ivr.cli.terminal import add, commands
from ivr.cli.usage import show_usage
from ivr.cli.webhooks import app as webhooks_app
from ivr.cli.work import run_worker

__all__ = ["main"]

main = commands("Answer who calls or writes, and turn it into finished leads.")
main.callback()(choose)
add(main, run_server, "serve")
add(main, run_worker, "work")
add(main, run_demo, "demo")
add(main, run_call, "call")
add(main, run_chat, "chat")
add(main, check_links, "doctor")
add(main, explain_call, "explain")
add(main, show_usage, "usage")
main.add_typer(leads_app, name="leads")
main.add_typer(stages_app, name="stages")
main.add_typer(review_app, name="review")
main.add_typer(tasks_app, name="tasks")
main.add_typer(escalations_app, name="escalations")
main.add_typer(tenants_app, name="tenants")
main.add_typer(rules_app, name="rules")
main.add_typer(keys_app, name="keys")
main.add_typer(webhooks_app, name="webhooks")
main.add_typer(database_app, name="db")
