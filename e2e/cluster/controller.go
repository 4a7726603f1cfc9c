// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// Controller is a running hallmark-controller.
type Controller struct {
	HealthURL  string // /healthz and /readyz
	MetricsURL string // /metrics
	WebhookURL string

	owner   testing.TB // the test that started it first: it ends with that one, not with a sub-test that starts it again
	args    []string
	address string // the webhook listens there
	program string
	cmd     *exec.Cmd
	log     *lab.Output
	ended   chan struct{}
	caPEM   []byte
}

// StartController installs the custom resource and the rights that deploy/ ships and starts the controller under its own service account.
// It waits until the controller's process serves, not until it is ready: AwaitReady does. More arguments are the controller's flags.
func (c *Cluster) StartController(t testing.TB, registry, trustedRoot string, args ...string) *Controller {
	t.Helper()
	c.Apply(t, filepath.Join("deploy", "crds", "imagetrustpolicies.hallmark.dev.yaml"))
	c.Apply(t, filepath.Join("deploy", "controller", "rbac.yaml"))
	certs := envtest.WebhookInstallOptions{}
	must(t, certs.PrepWithoutInstalling())
	t.Cleanup(func() { must(t, certs.Cleanup()) })

	address := net.JoinHostPort(certs.LocalServingHost, strconv.Itoa(certs.LocalServingPort))
	health, metrics := lab.FreeAddress(t), lab.FreeAddress(t)
	k := &Controller{
		HealthURL: "http://" + health, MetricsURL: "http://" + metrics + "/metrics", WebhookURL: "https://" + address + "/validate-images",
		address: address, owner: t, program: lab.Program(t, "hallmark-controller"), caPEM: certs.LocalServingCAData,
		args: append([]string{
			"--insecure-registry=" + registry, "--trusted-root=" + trustedRoot, "--kubeconfig=" + c.controllerConfig(t),
			"--webhook-address=" + address, "--webhook-certs=" + certs.LocalServingCertDir,
			"--health-address=" + health, "--metrics-address=" + metrics,
		}, args...),
	}
	k.Run(t)
	return k
}

// controllerConfig writes a kubeconfig for the controller's own service account.
func (c *Cluster) controllerConfig(t testing.TB) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: c.Config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: c.AccountToken(t, "hallmark-system", "hallmark-controller")}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "controller.kubeconfig")
	must(t, clientcmd.WriteToFile(*config, path))
	return path
}

// Run starts the program again after Stop.
func (k *Controller) Run(t testing.TB) {
	t.Helper()
	k.log, k.ended = &lab.Output{}, make(chan struct{})
	k.cmd = exec.Command(k.program, k.args...) //nolint:noctx // our own program; Stop ends it
	k.cmd.Stderr = k.log
	must(t, k.cmd.Start())
	cmd, ended := k.cmd, k.ended
	go func() {
		_ = cmd.Wait() // the exit code is looked at by Stop
		close(ended)
	}()
	k.owner.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended already unless the test failed
		<-ended
	})
	k.await(t, k.HealthURL+"/healthz")
	// Alive is said before the webhook listens; who looks at a controller that never becomes ready must not meet a closed port.
	k.Eventually(t, k.WebhookURL+" listens", func(ctx context.Context) bool {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", k.address)
		if err != nil {
			return false
		}
		_ = connection.Close() // only that it was accepted counts
		return true
	})
}

// AwaitReady waits until /readyz is green.
func (k *Controller) AwaitReady(t testing.TB) {
	t.Helper()
	k.await(t, k.HealthURL+"/readyz")
}

// Log is what the controller wrote since it was started.
func (k *Controller) Log() string { return k.log.String() }

func (k *Controller) await(t testing.TB, url string) {
	t.Helper()
	k.Eventually(t, url+" is green", func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		must(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close() // only the status counts
		return response.StatusCode == http.StatusOK
	})
}

// Eventually waits until a condition holds and fails the test if it does not come to hold, or if the controller ends.
func (k *Controller) Eventually(t testing.TB, what string, holds func(context.Context) bool) {
	t.Helper()
	eventually(t, what, k.ended, k.Log, holds)
}

// eventually waits until a condition holds and fails the test if it does not come to hold, or if what it needs ends. log says what that wrote.
func eventually(t testing.TB, what string, ended <-chan struct{}, log func() string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain: %s\n%s", what, tail([]byte(log())))
		case <-ended:
			t.Fatalf("the controller ended, waiting for: %s\n%s", what, tail([]byte(log())))
		case <-ticker.C:
		}
	}
}

// Stop asks the controller to end, waits until it has, and wants exit code 0.
func (k *Controller) Stop(t testing.TB) {
	t.Helper()
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case <-k.ended:
	case <-time.After(stopTimeout):
		t.Fatalf("the controller does not end:\n%s", tail([]byte(k.Log())))
	}
	if code := k.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the controller ended with %d:\n%s", code, tail([]byte(k.Log())))
	}
}

// InstallWebhook installs the shipped webhook configuration, pointed at the controller on this machine instead of its service in the
// cluster. Nothing else of it is changed.
func (c *Cluster) InstallWebhook(t testing.TB, k *Controller) {
	t.Helper()
	var hook admissionregistrationv1.ValidatingWebhookConfiguration
	must(t, yaml.UnmarshalStrict(c.read(t, filepath.Join("deploy", "controller", "webhook.yaml")), &hook))
	for i := range hook.Webhooks {
		if got := *hook.Webhooks[i].ClientConfig.Service.Path; got != "/validate-images" {
			t.Fatalf("the webhook configuration points at %s", got)
		}
		hook.Webhooks[i].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &k.WebhookURL, CABundle: k.caPEM}
	}
	must(t, c.Client.Create(t.Context(), &hook))
}

// Apply creates the objects of a YAML file of the work tree, in its order.
func (c *Cluster) Apply(t testing.TB, path string) {
	t.Helper()
	for _, document := range bytes.Split(c.read(t, path), []byte("\n---\n")) {
		var object unstructured.Unstructured
		must(t, yaml.Unmarshal(document, &object.Object))
		if err := c.Client.Create(t.Context(), &object, client.FieldValidation("Strict")); err != nil {
			t.Fatalf("create %s %s of %s: %v", object.GetKind(), object.GetName(), path, err)
		}
	}
}

func (c *Cluster) read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.root, path))
	must(t, err)
	return b
}

// toUnstructured turns a typed object into the form that can also be wrong.
func toUnstructured(t testing.TB, object any) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	must(t, err)
	return &unstructured.Unstructured{Object: content}
}
