// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	kubeadmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/admission"
)

// serve wires the parts together and runs them until the context ends.
func serve(ctx context.Context, o options, log *slog.Logger) error {
	if err := o.complete(); err != nil {
		return usageError{err}
	}
	root, err := loadTrustedRoot(ctx, o, log)
	if err != nil {
		return err
	}
	registry, err := oci.New(oci.Config{Registries: o.allowed(), Keychain: authn.DefaultKeychain, Timeout: admission.Timeout, BundleBytes: admission.MaxImageBytes, Logger: log})
	if err != nil {
		return usageError{err}
	}
	manager, err := newManager(o, log)
	if err != nil {
		return err
	}
	policies, err := watchPolicies(ctx, manager, log)
	if err != nil {
		return err
	}
	hook, err := newWebhook(o, policies, registry, root, log)
	if err != nil {
		return err
	}
	manager.GetWebhookServer().Register(admission.Path, &kubeadmission.Webhook{Handler: hook})
	if err := manager.Add(root); err != nil {
		return fmt.Errorf("watch the trusted root: %w", err)
	}
	if err := manager.AddHealthzCheck("running", healthz.Ping); err != nil {
		return fmt.Errorf("add liveness check: %w", err)
	}
	if err := manager.AddReadyzCheck("webhook", manager.GetWebhookServer().StartedChecker()); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	if err := manager.AddReadyzCheck("policies", func(*http.Request) error { return policies.Ready() }); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	log.InfoContext(ctx, "starting", "version", version, "registries", o.hosts(), "webhook", o.webhookAddress)
	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// newManager makes the manager that owns caches, servers and their order of starting and stopping.
func newManager(o options, log *slog.Logger) (ctrl.Manager, error) {
	logger := logr.FromSlogHandler(log.Handler())
	ctrl.SetLogger(logger) // the two libraries log through process-wide loggers
	klog.SetLogger(logger)
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w (hint: --kubeconfig FILE outside of a cluster)", err)
	}
	scheme := runtime.NewScheme()
	if err := admission.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register custom resources: %w", err)
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Logger:                 logger,
		Metrics:                server.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress: o.healthAddress,
		WebhookServer:          webhook.NewServer(webhook.Options{Host: o.webhookHost, Port: o.webhookPort, CertDir: o.webhookCerts}),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return manager, nil
}

// watchPolicies gives the webhook its policies out of the manager's cache, and their authors the status.
func watchPolicies(ctx context.Context, manager ctrl.Manager, log *slog.Logger) (*admission.Policies, error) {
	informer, err := manager.GetCache().GetInformer(ctx, &admission.ImageTrustPolicy{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch image trust policies: %w (hint: kubectl apply -f deploy/crds)", err)
	}
	reconciler, err := admission.NewReconciler(manager.GetClient(), log)
	if err != nil {
		return nil, err
	}
	if err := reconciler.SetupWithManager(manager); err != nil {
		return nil, fmt.Errorf("watch image trust policies: %w", err)
	}
	return admission.NewPolicies(manager.GetCache(), informer.HasSynced)
}

// newWebhook makes the handler that the API server asks.
func newWebhook(o options, policies *admission.Policies, registry *oci.Client, root *trustedRoot, log *slog.Logger) (*admission.Webhook, error) {
	decider, err := admission.NewDecider(registry, root.verifierFor)
	if err != nil {
		return nil, err
	}
	judge, err := admission.NewJudge(admission.Config{
		Policies: policies, Registries: o.hosts(), Parse: canonical, Decide: decider.Decide, Log: log,
	})
	if err != nil {
		return nil, err
	}
	counted, err := admission.NewMetrics(metrics.Registry)
	if err != nil {
		return nil, err
	}
	for _, metric := range root.metrics() {
		if err := metrics.Registry.Register(metric); err != nil {
			return nil, fmt.Errorf("register trusted root metric: %w", err)
		}
	}
	return admission.NewWebhook(judge, counted, log)
}

// canonical translates between the registry client's and the policies' words for the same thing.
func canonical(reference string) (policy.Image, error) {
	r, err := oci.ParseReference(reference)
	if err != nil {
		return policy.Image{}, err
	}
	return policy.Image{Registry: r.Registry, Repository: r.Repository, Tag: r.Tag, Digest: string(r.Digest)}, nil
}
