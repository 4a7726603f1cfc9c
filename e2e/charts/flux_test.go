// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hallmark-dev/hallmark/e2e/cluster"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	fluxSources = "source.toolkit.fluxcd.io/v1"
	// sourceController is pinned by e2e/flux.
	sourceController = "github.com/fluxcd/source-controller"
	// fluxWait is for a busy machine: idle, an object is decided in two seconds.
	fluxWait  = 2 * time.Minute
	fluxPause = 50 * time.Millisecond
	// notVerified is in what the controller says of what it refuses.
	notVerified = "failed to verify"
)

// flux is Flux's source-controller, unmodified, at work in a cluster.
type flux struct {
	*cluster.Cluster
	controller *stock.Daemon
	registry   string
}

// startFlux installs Flux's CRDs and starts its controller.
func startFlux(t *testing.T, c *cluster.Cluster, registry string) *flux {
	t.Helper()
	crds := filepath.Join(fluxModule(t), "config", "crd", "bases")
	if _, err := envtest.InstallCRDs(c.Config, envtest.CRDInstallOptions{Paths: []string{crds}, ErrorIfPathMissing: true, MaxTime: fluxWait}); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "kubeconfig")
	writeKubeconfig(t, config, c.Config)
	address := lab.FreeAddress(t)
	controller := stock.Command{Tool: "source-controller", Env: []string{"KUBECONFIG=" + config, "RUNTIME_NAMESPACE=default"}}.Start(t,
		"--storage-path", t.TempDir(), "--storage-addr", address, "--storage-adv-addr", address, "--metrics-addr", "0", "--health-addr", lab.FreeAddress(t))
	return &flux{c, controller, registry}
}

// fluxModule is the folder of source-controller's module, as it was published.
func fluxModule(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", sourceController)
	cmd.Dir = "../flux"
	said, err := cmd.Output()
	var module struct{ Dir, Error string }
	if err == nil {
		err = json.Unmarshal(said, &module)
	}
	if err != nil || module.Dir == "" {
		t.Fatalf("find %s: %v %s", sourceController, err, said)
	}
	return module.Dir
}

// create stores an object of Flux's, whose spec is as a user would write it.
func (f *flux) create(t *testing.T, kind, name string, spec map[string]any) {
	t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": fluxSources, "kind": kind, "metadata": map[string]any{"name": name, "namespace": "default"}, "spec": spec,
	}}
	if err := f.Client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (f *flux) secret(t *testing.T, name, file string, content []byte) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string][]byte{file: content}}
	if err := f.Client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// condition is what the controller says of an object.
type condition struct{ Type, Status, Reason, Message string }

// decided waits until the controller has decided about an object, and returns
// its conditions and the revision of what it has fetched.
func (f *flux) decided(t *testing.T, kind, name string) (found map[string]condition, revision string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fluxWait)
	defer cancel()
	for {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": fluxSources, "kind": kind}}
		err := f.Client.Get(ctx, client.ObjectKey{Namespace: "default", Name: name}, o)
		found = map[string]condition{}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, one := range conditions {
			var c condition
			raw, _ := json.Marshal(one)
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			found[c.Type] = c
		}
		// Not SourceVerified: of a chart that is refused, it comes and goes with each
		// try. The controller writes conditions before it writes what was fetched.
		revision, _, _ = unstructured.NestedString(o.Object, "status", "artifact", "revision")
		ready := found["Ready"]
		if (ready.Status == "True" && revision != "") || (ready.Status == "False" && strings.Contains(ready.Message, notVerified)) {
			return found, revision
		}
		select {
		case <-f.controller.Exited():
			t.Fatal("source-controller ended early")
		case <-ctx.Done():
			t.Fatalf("%s %s: not decided after %s: %v %+v", kind, name, fluxWait, err, found)
		case <-time.After(fluxPause):
		}
	}
}

// fluxFetches has Flux fetch the chart that was signed, and refuse it where it
// is not signed as the object asks, and a chart that nobody has signed.
func fluxFetches(t *testing.T, l *lab.Lab, c *cluster.Cluster, p pushResult) {
	unsigned := packaged(t, l.Registry, "1.2.3", "1.2.4")
	wantStock(t, "helm push", helm(t, "push", unsigned, "oci://"+l.Registry+"/acme/charts", "--plain-http"), 0)
	f := startFlux(t, c, l.Registry)
	issuer := l.Issuer.URL(devissuer.GitHub)
	root, err := os.ReadFile(l.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(l.Dir, "keys", "log-v1.pub"))
	if err != nil {
		t.Fatal(err)
	}
	f.secret(t, "release", "release.pub", []byte(l.Hallmark(t, "", "keys", "public", "release").Stdout))
	f.secret(t, "other", "other.pub", other)
	f.secret(t, "root", "trusted_root.json", root)
	f.create(t, "HelmRepository", "acme", map[string]any{"type": "oci", "url": "oci://" + l.Registry + "/acme/charts", "insecure": true, "interval": "1h"})

	ref := func(name string) map[string]any { return map[string]any{"name": name} }
	byKey := func(name string) map[string]any { return map[string]any{"provider": "cosign", "secretRef": ref(name)} }
	byIdentity := func(subject string) map[string]any {
		return map[string]any{
			"provider": "cosign", "trustedRootSecretRef": ref("root"),
			"matchOIDCIdentity": []any{map[string]any{"issuer": "^" + issuer + "$", "subject": subject}},
		}
	}
	own := "^" + p.Signature.Identity + "$"
	cases := []struct {
		kind, version, what string
		verify              map[string]any
		verified            bool
	}{
		{"HelmChart", "1.2.3", "by key", byKey("release"), true},
		{"HelmChart", "1.2.3", "by another key", byKey("other"), false},
		{"HelmChart", "1.2.4", "not signed", byKey("release"), false},
		{"OCIRepository", "1.2.3", "by key", byKey("release"), true},
		{"OCIRepository", "1.2.3", "by another key", byKey("other"), false},
		{"OCIRepository", "1.2.3", "by identity", byIdentity(own), true},
		{"OCIRepository", "1.2.3", "by another identity", byIdentity("^https://github.com/mallory/.*$"), false},
		{"OCIRepository", "1.2.4", "not signed", byIdentity(own), false},
	}
	name := func(i int) string { return fmt.Sprintf("s%d", i) }
	for i, tc := range cases { // all at once: the controller has time while the others are stored
		spec := map[string]any{"chart": "app", "version": tc.version, "sourceRef": map[string]any{"kind": "HelmRepository", "name": "acme"}}
		if tc.kind == "OCIRepository" {
			spec = map[string]any{
				"url": "oci://" + l.Registry + "/acme/charts/app", "insecure": true, "ref": map[string]any{"tag": tc.version},
				"layerSelector": map[string]any{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "operation": "copy"},
			}
		}
		spec["interval"], spec["verify"] = "1h", tc.verify
		f.create(t, tc.kind, name(i), spec)
	}
	for i, tc := range cases {
		found, revision := f.decided(t, tc.kind, name(i))
		if got := found["SourceVerified"].Status == "True" && found["Ready"].Status == "True"; got != tc.verified {
			t.Errorf("%s %s: verified %v: %+v", tc.kind, tc.what, got, found)
		}
		if (tc.verified && !strings.HasPrefix(revision, tc.version)) || (!tc.verified && revision != "") || (tc.verified && tc.kind == "OCIRepository" && !strings.HasSuffix(revision, p.Digest)) {
			t.Errorf("%s %s: fetched %q", tc.kind, tc.what, revision)
		}
	}
}
