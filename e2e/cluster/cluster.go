// SPDX-License-Identifier: Apache-2.0

// Package cluster is a real Kubernetes API server with a real etcd behind it, for tests, with the real hallmark-controller in front of what it
// stores.
//
// A Cluster is started empty; StartController then installs what deploy/ ships, as an operator would: custom resource, rights, policies,
// webhook. The controller runs as its own program under its own service account, so that a missing right shows. There is no scheduler, no
// kubelet and no controller manager: objects are stored, or refused, and that is what is tested.
package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/verifier/admission"
)

// startTimeout and stopTimeout are how long each program of the control plane may take on a busy machine; idle it is a few seconds.
const (
	startTimeout = 120 * time.Second
	stopTimeout  = 60 * time.Second
)

// Cluster is a running API server.
type Cluster struct {
	Config *rest.Config          // an administrator of the group system:masters
	Kube   *kubernetes.Clientset // the same, for built-in kinds
	Client client.Client         // the same, for any kind
	Issuer string                // of service account tokens; discovery and keys are below it
	CAFile string                // PEM file: who signed the API server's certificate

	env  *envtest.Environment
	root string // of the work tree
}

// Start starts a cluster and ends it with the test. The programs come from the tools cache; a missing one fails the test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	address := lab.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	must(t, err)
	c := &Cluster{Issuer: "https://" + address, root: workTree(t)}

	c.env = &envtest.Environment{ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: stopTimeout}
	apiServer := c.env.ControlPlane.GetAPIServer()
	apiServer.Path = stock.Tool(t, "kube/kube-apiserver")
	c.env.ControlPlane.Etcd = &envtest.Etcd{Path: stock.Tool(t, "kube/etcd")}
	c.env.ControlPlane.KubectlPath = apiServer.Path // wanted, never run
	apiServer.SecureServing.Address, apiServer.SecureServing.Port = host, port
	// Set it explicitly, because the default names a key location by the machine's outward address.
	apiServer.Configure().
		Set("service-account-issuer", c.Issuer).
		Set("service-account-jwks-uri", c.Issuer+"/openid/v1/jwks")
	var output bytes.Buffer // of the API server; only read when it has ended
	apiServer.Err = &output
	c.Config, err = c.env.Start()
	if err != nil {
		t.Fatalf("start the API server: %v\n%s", err, tail(output.Bytes()))
	}
	t.Cleanup(func() { must(t, c.env.Stop()) })

	c.Config.WarningHandler = rest.NoWarnings{}
	c.Kube, err = kubernetes.NewForConfig(c.Config)
	must(t, err)
	scheme := runtime.NewScheme()
	must(t, clientscheme.AddToScheme(scheme))
	must(t, admission.AddToScheme(scheme))
	c.Client, err = client.New(c.Config, client.Options{Scheme: scheme})
	must(t, err)
	c.CAFile = filepath.Join(t.TempDir(), "cluster-ca.pem")
	must(t, os.WriteFile(c.CAFile, c.Config.CAData, 0o600))
	return c
}

// Namespace creates a namespace, and the account that pods in it have by default.
func (c *Cluster) Namespace(t testing.TB, name string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
	c.ServiceAccount(t, name, "default")
}

// As returns a client for somebody else.
func (c *Cluster) As(t testing.TB, user string, groups ...string) *kubernetes.Clientset {
	t.Helper()
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	kube, err := kubernetes.NewForConfig(config)
	must(t, err)
	return kube
}

// workTree finds the folder with deploy/ in it, above the test's own.
func workTree(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	must(t, err)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "deploy", "crds")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no folder above the test has deploy/crds")
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tail is the end of a program's output, where the reason usually is.
func tail(output []byte) string {
	const enough = 4 << 10
	if len(output) > enough {
		return fmt.Sprintf("…%s", output[len(output)-enough:])
	}
	return string(output)
}
