// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"crypto/rand"
	"time"
)

const kubernetesLife = time.Hour

const kubernetesSource = `provider: kubernetes, issuer: "ISSUER"`

// kubernetesClaims are those of a projected service account token. The parts of
// the claim kubernetes.io are overridden by names of their own: namespace,
// serviceaccount.name, serviceaccount.uid, pod.name and pod.uid; pod.uid= is a
// token that a person made with kubectl create token, without a pod.
func kubernetesClaims(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	c := newClaimSet(overrides)
	c.text("iss", issuer)
	c.list("aud", audience)
	c.text("jti", rand.Text())
	c.number("iat", now.Unix())
	c.number("nbf", now.Unix())
	c.number("exp", now.Add(kubernetesLife).Unix())

	namespace := c.part("namespace", "acme-ci")
	account := c.part("serviceaccount.name", "release")
	bound := map[string]any{
		"namespace":      namespace,
		"serviceaccount": map[string]any{"name": account, "uid": c.part("serviceaccount.uid", uuidOf(namespace+"/"+account))},
		"warnafter":      now.Add(kubernetesLife).Unix(),
	}
	pod, uid := c.part("pod.name", "release-run"), c.part("pod.uid", randomUUID())
	if uid != "" {
		bound["pod"] = map[string]any{"name": pod, "uid": uid}
		bound["node"] = map[string]any{"name": "node-1", "uid": uuidOf("node-1")}
	}
	c.claims["kubernetes.io"] = bound
	c.text("sub", "system:serviceaccount:"+namespace+":"+account)
	return c.rest()
}
