"""Addresses of the pages."""

from django.urls import path

from webapp.dashboard.views import account, approvals, catalogue, deployments, home, market, planning

app_name = "dashboard"

urlpatterns = [
    path("", home.show_home, name="home"),
    path("market/", market.show_market, name="market"),
    path("market/import/", market.import_offers, name="market-import"),
    path("catalogue/", catalogue.show_catalogue, name="catalogue"),
    path("catalogue/models/", catalogue.upload_model, name="model-upload"),
    path("catalogue/workloads/", catalogue.upload_workload, name="workload-upload"),
    path("plans/", planning.list_plans, name="plans"),
    path("plans/new/", planning.request_plan, name="plan-new"),
    path("plans/<int:pk>/", planning.show_plan, name="plan"),
    path("plans/<int:pk>/solve/", planning.solve_again, name="plan-solve"),
    path("plans/<int:pk>/instance.json", planning.export_instance, name="plan-instance"),
    path("plans/<int:pk>/approve/", approvals.approve_plan, name="plan-approve"),
    path("plans/<int:pk>/reject/", approvals.reject_plan, name="plan-reject"),
    path("approvals/", approvals.show_approvals, name="approvals"),
    path("deployments/", deployments.list_deployments, name="deployments"),
    path("deployments/<slug:name>/", deployments.show_deployment, name="deployment"),
    path("deployments/<slug:name>/series.json", deployments.get_series, name="deployment-series"),
    path("deployments/<slug:name>/stop/", deployments.stop_deployment, name="deployment-stop"),
    path("deployments/<slug:name>/traffic/", deployments.switch_traffic, name="deployment-traffic"),
    path("deployments/<slug:name>/spend-limit/", deployments.set_spend_limit, name="deployment-limit"),
    path("deployments/<slug:name>/keys/", deployments.create_key, name="key-create"),
    path("deployments/<slug:name>/keys/<int:key_id>/revoke/", deployments.revoke_key, name="key-revoke"),
    path("deployments/<slug:name>/shards/<str:shard_id>/log/", deployments.show_log, name="shard-log"),
    path("account/", account.show_account, name="account"),
    path("account/tokens/", account.create_token, name="token-create"),
    path("account/tokens/<int:token_id>/revoke/", account.revoke_token, name="token-revoke"),
    path("account/password/", account.change_password, name="password-change"),
]
