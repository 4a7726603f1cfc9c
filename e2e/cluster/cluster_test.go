// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/admission"
)

// appWorkflow signs app images: the development issuer's push to main of acme/app.
const appWorkflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"

func TestMain(m *testing.M) { lab.Main(m) }

// world is everything that the cases share: starting it takes seconds, so there is one.
type world struct {
	*Cluster
	*Controller

	lab         *lab.Lab
	discovery   string      // file with a bearer token that may read the cluster's token keys
	trustedRoot string      // the controller's own copy
	registryOff atomic.Bool // makes the central registry answer 503

	signed    string // by digest, signed by appWorkflow
	signed2   string // another one
	tagged    string // the first one by its tag
	unsigned  string // by digest, in the same repository
	elsewhere string // the signed image's digest in a repository that no policy covers
}

// foreign is a registry that nothing may ask: the name does not resolve.
const foreign = "registry.invalid/acme/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"

// TestCluster runs all cases against one cluster. They are independent of each other where they can be; those that change policies, the
// registry or the controller put back what they found.
func TestCluster(t *testing.T) {
	w := start(t)
	t.Run("without policies", w.withoutPolicies)
	w.createPolicy(t, w.appPolicy())
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"pods", w.pods}, {"odd image strings", w.oddStrings}, {"ephemeral containers", w.ephemeral}, {"dry run", w.dryRun},
		{"tenant tricks", w.tricks}, {"everybody is judged", w.users}, {"static pods", w.staticPods}, {"workloads", w.workloads}, {"pod updates", w.podUpdates},
		{"workload updates", w.workloadUpdates}, {"nothing else is hindered", w.unhindered}, {"every policy must allow", w.everyPolicy},
		{"mode Warn", w.warn}, {"invalid policy", w.invalidPolicy}, {"policies refused at apply", w.refusedPolicies}, {"shipped files", w.shipped},
		{"own namespace", w.ownNamespace}, {"tokens", w.tokens}, {"a pod signs", w.podSigns}, {"registry down", w.registryDown}, {"trusted root changes", w.rootChanges},
		{"metrics", w.metrics}, {"not synced", w.notSynced}, {"controller stopped", w.stopped},
	} {
		t.Run(c.name, c.run)
	}
}

// start brings up service, images, API server, controller and webhook, and a few objects from before there was a webhook.
func start(t *testing.T) *world {
	w := &world{Cluster: Start(t)}
	w.discovery = w.DiscoveryTokenFile(t)
	cluster := fmt.Sprintf(`- {name: kubernetes, provider: kubernetes, issuer: "%s", jwksURI: "%s", caFile: "%s", bearerTokenFile: "%s", tokenReview: {server: "%[1]s", bearerTokenFile: "%[5]s"}}`,
		w.Issuer, w.JWKSURI(), w.CAFile, w.discovery, w.ReviewTokenFile(t))
	w.lab = lab.Start(t, lab.Options{Identities: cluster, Without: []string{"kubernetes"}, Wrap: func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.registryOff.Load() {
				http.Error(rw, "switched off", http.StatusServiceUnavailable)
				return
			}
			registry.ServeHTTP(rw, r)
		})
	}})
	w.signed, w.signed2 = w.signedImage(t, "v1"), w.signedImage(t, "v2")
	w.tagged = strings.Split(w.signed, "@")[0] + ":v1"
	w.unsigned = w.lab.PushSmall(t, "acme/app", "unsigned")
	w.elsewhere = w.lab.Copy(t, w.signed, "tools/app")

	w.ServiceAccount(t, "default", "default") // the controller manager would have made it
	w.legacy(t)
	w.trustedRoot = filepath.Join(t.TempDir(), "trusted_root.json")
	copyFile(t, w.lab.TrustedRoot(), w.trustedRoot)
	w.Controller = w.StartController(t, w.lab.Registry, w.trustedRoot)
	w.AwaitReady(t)
	w.InstallWebhook(t, w.Controller)
	w.Eventually(t, "the API server asks the webhook", func(context.Context) bool {
		return isDenial(w.tryPod(t, pod("probe", foreign)))
	})
	return w
}

// signedImage pushes a small image and has it signed as a CI job does.
func (w *world) signedImage(t *testing.T, tag string) string {
	t.Helper()
	image := w.lab.PushSmall(t, "acme/app", tag)
	if got := w.lab.Hallmark(t, w.lab.Token(t, devissuer.GitHub), "sign", image); got.Code != 0 {
		t.Fatalf("sign: %s", got.Stderr)
	}
	return image
}

// appPolicy lets images under acme/ run that appWorkflow signed.
func (w *world) appPolicy() *admission.ImageTrustPolicy {
	return &admission.ImageTrustPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "acme"},
		Spec: policy.TrustPolicySpec{
			Images:  []string{w.lab.Registry + "/acme/"},
			Signers: []policy.Signer{{Name: "ci", Issuer: w.lab.Issuer.URL(devissuer.GitHub), Subject: appWorkflow}},
			Require: policy.Requirements{Signature: policy.SignatureRequirement{Signers: []string{"ci"}}},
		},
	}
}

// createPolicy creates a policy and waits until the controller knows it. Its status is written from the same cache that the webhook reads.
func (w *world) createPolicy(t *testing.T, p *admission.ImageTrustPolicy) {
	t.Helper()
	must(t, w.Client.Create(t.Context(), p))
	w.awaitRead(t, p.Name)
}

func (w *world) awaitRead(t *testing.T, name string) (p admission.ImageTrustPolicy) {
	t.Helper()
	w.Eventually(t, "policy "+name+" is read", func(ctx context.Context) bool {
		must(t, w.Client.Get(ctx, client.ObjectKey{Name: name}, &p))
		return len(p.Status.Conditions) > 0 && p.Status.ObservedGeneration == p.Generation
	})
	return p
}

// changePolicy updates a policy until the test ends and waits until the change is in force.
func (w *world) changePolicy(t *testing.T, name string, change func(*policy.TrustPolicySpec)) {
	t.Helper()
	var p admission.ImageTrustPolicy
	must(t, w.Client.Get(t.Context(), client.ObjectKey{Name: name}, &p))
	before := *p.Spec.DeepCopy()
	put := func(ctx context.Context, spec policy.TrustPolicySpec) {
		must(t, w.Client.Get(ctx, client.ObjectKey{Name: name}, &p))
		p.Spec = spec
		must(t, w.Client.Update(ctx, &p))
	}
	after := *before.DeepCopy()
	change(&after)
	put(t.Context(), after)
	w.awaitRead(t, name)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		put(ctx, before)
		w.awaitPolicies(t, func() bool { return w.generationSeen(ctx, t, name) })
	})
}

func (w *world) generationSeen(ctx context.Context, t *testing.T, name string) bool {
	var p admission.ImageTrustPolicy
	must(t, w.Client.Get(ctx, client.ObjectKey{Name: name}, &p))
	return p.Status.ObservedGeneration == p.Generation
}

// temporaryPolicy creates a policy for the duration of a test.
func (w *world) temporaryPolicy(t *testing.T, p *admission.ImageTrustPolicy) {
	t.Helper()
	w.createPolicy(t, p)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		must(t, w.Client.Delete(ctx, p))
		w.awaitPolicies(t, func() bool { return w.tryPod(t, pod("probe", w.signed)) == nil })
	})
}

// awaitRight waits until an account has a right, or no longer has it: authorizers learn of a change a moment after it is stored. The
// controller may be stopped meanwhile.
func (w *world) awaitRight(t *testing.T, user string, groups []string, want bool, attributes authorizationv1.ResourceAttributes) {
	t.Helper()
	eventually(t, "a right of "+user+" has changed", nil, w.Log, func(ctx context.Context) bool {
		review, err := w.Kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &attributes}}, metav1.CreateOptions{})
		must(t, err)
		return review.Status.Allowed == want
	})
}

// mayCreatePods is the right to create pods in the default namespace.
var mayCreatePods = authorizationv1.ResourceAttributes{Namespace: "default", Verb: "create", Resource: "pods"}

// awaitPolicies is Eventually for clean-up functions, whose test context is over.
func (w *world) awaitPolicies(t *testing.T, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
	}
	t.Fatal("the policies that were there before are not in force again")
}

func ready(p admission.ImageTrustPolicy) *metav1.Condition {
	return meta.FindStatusCondition(p.Status.Conditions, admission.ConditionReady)
}

// pod makes a pod with one container.
func pod(name, image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}
}

// tryPod asks, as a dry run, whether the pod may be created. What a dry run answers is compared with real requests elsewhere.
func (w *world) tryPod(t *testing.T, p *corev1.Pod) error {
	t.Helper()
	_, err := w.Kube.CoreV1().Pods(p.Namespace).Create(context.WithoutCancel(t.Context()), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// create creates a pod and removes it after the test.
func (w *world) create(t *testing.T, p *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	created, err := w.Kube.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{})
	if err == nil {
		t.Cleanup(func() {
			now := int64(0)
			err := w.Kube.CoreV1().Pods(created.Namespace).Delete(context.WithoutCancel(t.Context()), created.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		})
	}
	return created, err
}

// isDenial reports whether our webhook, and not the API server by itself, refused.
func isDenial(err error) bool {
	return err != nil && strings.Contains(err.Error(), `admission webhook "images.hallmark.dev" denied the request`)
}

// wantDenied wants a refusal by our webhook, as Forbidden, whose message contains all of the words.
func wantDenied(t *testing.T, err error, words ...string) {
	t.Helper()
	if !isDenial(err) || !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want a denial by the webhook", err)
		return
	}
	wantWords(t, err, words...)
}

// wantUndecided wants a refusal by our webhook because it could not decide.
func wantUndecided(t *testing.T, err error, words ...string) {
	t.Helper()
	if !isDenial(err) || !apierrors.IsServiceUnavailable(err) {
		t.Errorf("got %v (reason %q), want a denial by the webhook for want of a decision", err, apierrors.ReasonForError(err))
		return
	}
	wantWords(t, err, words...)
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the message lacks %q:\n%v", word, err)
		}
	}
}

func wantAllowed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("got %v, want it allowed", err)
	}
}

// heard collects the warnings that a client is shown.
type heard struct {
	mu  sync.Mutex
	all []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (h *heard) HandleWarningHeader(_ int, _, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, text)
}

// listening is a client of the administrator that collects warnings.
func (w *world) listening(t *testing.T) (*kubernetes.Clientset, *heard) {
	t.Helper()
	config, h := rest.CopyConfig(w.Config), &heard{}
	config.WarningHandler = h
	kube, err := kubernetes.NewForConfig(config)
	must(t, err)
	return kube, h
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	next := to + ".next"
	must(t, os.WriteFile(next, b, 0o600))
	must(t, os.Rename(next, to)) // a reader sees the old file or the new one
}
