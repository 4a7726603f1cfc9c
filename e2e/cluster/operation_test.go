// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// registryDown: nothing can be decided, so nothing runs, and the message says that it is not the image's fault.
func (w *world) registryDown(t *testing.T) {
	w.registryOff.Store(true)
	defer w.registryOff.Store(false)
	wantUndecided(t, w.tryPod(t, pod("p", w.signed)), "could not be decided")
	wantDenied(t, w.tryPod(t, pod("p", "nginx"))) // what needs no registry is decided
	w.registryOff.Store(false)
	wantAllowed(t, w.tryPod(t, pod("p", w.signed)))
}

// rootChanges: the controller follows its trusted root file, and keeps the last good one.
func (w *world) rootChanges(t *testing.T) {
	other := lab.Start(t, lab.Options{})
	copyFile(t, other.TrustedRoot(), w.trustedRoot)
	w.Eventually(t, "signatures under the old root are refused", func(context.Context) bool { return w.tryPod(t, pod("p", w.signed)) != nil })
	wantDenied(t, w.tryPod(t, pod("p", w.signed)), "does not count")

	copyFile(t, w.lab.TrustedRoot(), w.trustedRoot)
	w.Eventually(t, "signatures under the first root are accepted", func(context.Context) bool { return w.tryPod(t, pod("p", w.signed)) == nil })

	must(t, os.WriteFile(w.trustedRoot, []byte("{"), 0o600))
	w.Eventually(t, "the log complains", func(context.Context) bool {
		return strings.Contains(w.Log(), "trusted root cannot be read, the last good one stays in force")
	})
	wantAllowed(t, w.tryPod(t, pod("p", w.signed)))
	wantDenied(t, w.tryPod(t, pod("p", w.unsigned)))
	if !strings.Contains(w.scrape(t), "hallmark_trusted_root_stale 1") {
		t.Error("the metric does not say that the root is stale")
	}
	copyFile(t, w.lab.TrustedRoot(), w.trustedRoot)
}

func (w *world) scrape(t *testing.T) string {
	t.Helper()
	text, err := fetch(t, http.DefaultClient, w.MetricsURL, "")
	must(t, err)
	return text
}

func (w *world) metrics(t *testing.T) {
	text := w.scrape(t)
	for _, series := range []string{`hallmark_admission_requests_total{outcome="allowed"}`, `hallmark_admission_requests_total{outcome="denied"}`,
		`hallmark_admission_requests_total{outcome="unchanged"}`, `hallmark_admission_requests_total{outcome="undecided"}`, "hallmark_admission_seconds_count"} {
		_, value, found := strings.Cut(text, series+" ")
		if !found || strings.HasPrefix(value, "0\n") {
			t.Errorf("%s is missing or zero after all of these requests", series)
		}
	}
}

// notSynced: a controller that may not read the policies is alive, not ready, and denies.
func (w *world) notSynced(t *testing.T) {
	w.Stop(t)
	bindings := w.Kube.RbacV1().ClusterRoleBindings()
	binding, err := bindings.Get(t.Context(), "hallmark-controller", metav1.GetOptions{})
	must(t, err)
	must(t, bindings.Delete(t.Context(), binding.Name, metav1.DeleteOptions{}))
	const account = "system:serviceaccount:hallmark-system:hallmark-controller"
	groups := []string{"system:serviceaccounts", "system:authenticated"}
	list := authorizationv1.ResourceAttributes{Group: "hallmark.dev", Verb: "list", Resource: "imagetrustpolicies"}
	w.awaitRight(t, account, groups, false, list)
	w.Run(t)
	wantUndecided(t, w.tryPod(t, pod("p", w.signed)), "policies are not read yet")
	response, err := http.Get(w.HealthURL + "/readyz") //nolint:noctx // loopback
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode == http.StatusOK {
		t.Error("readyz is green before the policies are read")
	}
	_, err = bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: binding.Name}, RoleRef: binding.RoleRef, Subjects: binding.Subjects}, metav1.CreateOptions{})
	must(t, err)
	w.AwaitReady(t)
	wantAllowed(t, w.tryPod(t, pod("p", w.signed)))
}

// stopped: without an answer nothing is created, and what exists can be deleted.
func (w *world) stopped(t *testing.T) {
	_, err := w.create(t, pod("kept", w.signed))
	must(t, err)
	w.Stop(t)
	for name, image := range map[string]string{"signed": w.signed, "unsigned": w.unsigned} {
		_, err := w.create(t, pod("p", image))
		if err == nil || !strings.Contains(err.Error(), `failed calling webhook "images.hallmark.dev"`) {
			t.Errorf("%s image, controller stopped: %v", name, err)
		}
	}
	if err := w.Client.Create(t.Context(), deployment("d", w.signed)); err == nil {
		t.Error("a deployment was created while the controller was stopped")
	}
	w.deleteNow(t, "kept")
	w.Run(t)
	w.AwaitReady(t)
	wantAllowed(t, w.tryPod(t, pod("p", w.signed)))
	wantDenied(t, w.tryPod(t, pod("p", w.unsigned)))
}

func fetch(t *testing.T, c *http.Client, url, bearer string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+bearer)
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}
