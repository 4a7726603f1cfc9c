// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokenSeconds is the lifetime of tokens asked for: that of a projected token.
const tokenSeconds = 3600

// ServiceAccount creates a service account.
func (c *Cluster) ServiceAccount(t testing.TB, namespace, name string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.Kube.CoreV1().ServiceAccounts(namespace).Create(context.WithoutCancel(t.Context()), account, metav1.CreateOptions{})
	must(t, err)
}

// PodToken asks the API server for a token of the pod's service account that is bound to the pod, as the kubelet does for a projected
// volume. The pod must exist.
func (c *Cluster) PodToken(t testing.TB, pod *corev1.Pod, audiences ...string) string {
	t.Helper()
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return c.token(t, pod.Namespace, account, authenticationv1.TokenRequestSpec{
		Audiences:      audiences,
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	})
}

// AccountToken asks for a token that is bound to no pod, as `kubectl create token` does: a person can have one.
func (c *Cluster) AccountToken(t testing.TB, namespace, account string, audiences ...string) string {
	t.Helper()
	return c.token(t, namespace, account, authenticationv1.TokenRequestSpec{Audiences: audiences})
}

func (c *Cluster) token(t testing.TB, namespace, account string, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	seconds := int64(tokenSeconds)
	spec.ExpirationSeconds = &seconds
	got, err := c.Kube.CoreV1().ServiceAccounts(namespace).CreateToken(context.WithoutCancel(t.Context()), account,
		&authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	must(t, err)
	return got.Status.Token
}

// JWKSURI is where the keys of service account tokens are; discovery at Issuer names it too.
func (c *Cluster) JWKSURI() string { return c.Issuer + "/openid/v1/jwks" }

// DiscoveryTokenFile writes a bearer token that may read the issuer's discovery and keys, and nothing else, to a file: the API server does
// not show them to strangers.
func (c *Cluster) DiscoveryTokenFile(t testing.TB) string {
	t.Helper()
	return c.roleTokenFile(t, "hallmark-discovery", "system:service-account-issuer-discovery")
}

// ReviewTokenFile writes a bearer token that may have the cluster review other tokens to a file.
func (c *Cluster) ReviewTokenFile(t testing.TB) string {
	t.Helper()
	return c.roleTokenFile(t, "hallmark-review", "system:auth-delegator")
}

// roleTokenFile writes the token of a new account that has one cluster role to a file.
func (c *Cluster) roleTokenFile(t testing.TB, account, role string) string {
	t.Helper()
	const namespace = "kube-system"
	c.ServiceAccount(t, namespace, account)
	_, err := c.Kube.RbacV1().ClusterRoleBindings().Create(context.WithoutCancel(t.Context()), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: account}},
	}, metav1.CreateOptions{})
	must(t, err)
	path := filepath.Join(t.TempDir(), account)
	must(t, os.WriteFile(path, []byte(c.AccountToken(t, namespace, account)), 0o600))
	return path
}
