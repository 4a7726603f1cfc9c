// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (w *world) withoutPolicies(t *testing.T) {
	_, err := w.create(t, pod("p", w.signed))
	wantDenied(t, err, "no ImageTrustPolicy covers")
}

// pods are the image positions and the reasons to refuse what stands there.
func (w *world) pods(t *testing.T) {
	withInit := func(image string) *corev1.Pod {
		p := pod("p", w.signed)
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: image}}
		return p
	}
	withVolume := func(image string) *corev1.Pod {
		p := pod("p", w.signed)
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image}}}}
		return p
	}
	withSecond := func(image string) *corev1.Pod {
		p := pod("p", w.signed)
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: image})
		return p
	}
	for name, make := range map[string]func(string) *corev1.Pod{
		`container "main"`:   func(image string) *corev1.Pod { return pod("p", image) },
		`container "second"`: withSecond, `init container "init"`: withInit, `image volume "data"`: withVolume,
	} {
		t.Run(name, func(t *testing.T) {
			for _, image := range []string{w.signed, strings.Replace(w.signed, "@", ":any-tag@", 1)} {
				if _, err := w.create(t, make(image)); err != nil {
					t.Errorf("signed image %s: %v", image, err)
				}
				w.deleteNow(t, "p")
			}
			for reason, image := range map[string]string{
				"hallmark sign":               w.unsigned,
				"is not the central registry": foreign,
				"has no digest":               w.tagged,
				"no ImageTrustPolicy covers":  w.elsewhere,
				"unusable image reference":    "nginx",
			} {
				_, err := w.create(t, make(image))
				wantDenied(t, err, name, fmt.Sprintf("%q", image), reason, `Pod "p" may not run in namespace "default"`)
			}
		})
	}
	_, err := w.create(t, pod("p", strings.Split(w.signed, "@")[0]+"@sha256:"+strings.Repeat("0", 64)))
	if !isDenial(err) {
		t.Errorf("a digest that the registry does not have: %v", err)
	}
}

func (w *world) deleteNow(t *testing.T, name string) {
	t.Helper()
	now := int64(0)
	err := w.Kube.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// oddStrings are accepted by the API server and mean something to some container runtime.
func (w *world) oddStrings(t *testing.T) {
	host, rest, _ := strings.Cut(w.signed, "/")
	repository, digest, _ := strings.Cut(rest, "@")
	hex := strings.TrimPrefix(digest, "sha256:")
	for _, image := range []string{
		"nginx", "auto", "docker://nginx", "https://h/x", "user:pw@h/x", "/x", "h//x", "h/../x", "h/%2e%2e/x", "h/X/Y", "a:b:c",
		"UPPER.HOST/x", "host./x", "h:443/x", "[::1]:5000/x", "exämple.com/x", "h/\u200bx", "h/x\ny", "h/x\ty", strings.Repeat("a", 5000),
		"docker.io/nginx", "index.docker.io/library/nginx", "docker.io/library/nginx:latest",
		digest, hex, hex[:12], "@" + digest,
		w.signed + "@" + digest, rest, "/" + w.signed, "https://" + w.signed, "docker://" + w.signed, "user:pw@" + w.signed,
		host + "/" + strings.ToUpper(repository) + "@" + digest, host + "//" + rest, host + "/./" + rest, host + "/x/../" + rest,
		host + "/" + repository + "@sha256:" + strings.ToUpper(hex), host + "/" + repository + "@sha256:" + hex[:63], host + "/" + repository + "@sha256:" + hex + "0",
		host + "/" + repository + "@md5:" + hex[:32], host + "/" + repository + "@sha512:" + hex + hex, host + "/" + repository + "@" + hex,
		host + "/" + repository + ":@" + digest, host + "/" + repository + ":bad tag@" + digest, host + "/" + repository + "/@" + digest,
		host + ".:80/" + rest, host + "./" + rest, strings.Replace(host, "127.0.0.1", "localhost", 1) + "/" + rest,
		strings.Replace(host, "127.0.0.1", "127.1", 1) + "/" + rest, strings.Replace(host, "127.0.0.1", "0127.0.0.1", 1) + "/" + rest,
		host + "/" + repository + "\u200b@" + digest, host + "/" + repository + "@" + digest + "\n" + w.signed, host + "/" + repository + "@" + digest + "?x", host + "/" + repository + "@" + digest + "#x",
	} {
		_, err := w.create(t, pod("odd", image))
		wantDenied(t, err, `container "main"`)
		if err == nil {
			t.Errorf("%q was created", image)
			w.deleteNow(t, "odd")
			continue
		}
		if lines := strings.Count(err.Error(), "\n"); lines != 1 {
			t.Errorf("%q: the message has %d line breaks, want the one after its headline:\n%v", image, lines, err)
		}
	}
}

// ephemeral is `kubectl debug`.
func (w *world) ephemeral(t *testing.T) {
	p, err := w.create(t, pod("debugged", w.signed))
	must(t, err)
	debug := func(image string) error {
		changed := p.DeepCopy()
		changed.Spec.EphemeralContainers = append(changed.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: fmt.Sprintf("debug-%d", len(p.Spec.EphemeralContainers)), Image: image}})
		updated, err := w.Kube.CoreV1().Pods("default").UpdateEphemeralContainers(t.Context(), "debugged", changed, metav1.UpdateOptions{})
		if err == nil {
			p = updated
		}
		return err
	}
	for reason, image := range map[string]string{"hallmark sign": w.unsigned, "is not the central registry": foreign, "has no digest": w.tagged, "unusable image reference": "busybox"} {
		wantDenied(t, debug(image), `ephemeral container "debug-0"`, reason)
	}
	wantAllowed(t, debug(w.signed2))
	wantDenied(t, debug(w.unsigned), `ephemeral container "debug-1"`, "1 of 1 images") // the first one is not judged again
}

// dryRun compares dry runs with the real requests that follow them.
func (w *world) dryRun(t *testing.T) {
	for name, image := range map[string]string{"signed": w.signed, "unsigned": w.unsigned, "foreign": foreign} {
		dry := w.tryPod(t, pod("dry", image))
		_, wet := w.create(t, pod("dry", image))
		if (dry == nil) != (wet == nil) || dry != nil && dry.Error() != wet.Error() {
			t.Errorf("%s: dry run %v, real request %v", name, dry, wet)
		}
		w.deleteNow(t, "dry")
	}
	named := pod("", w.unsigned)
	named.GenerateName = "generated-"
	_, err := w.create(t, named)
	wantDenied(t, err, `Pod "generated-`)
	named.Spec.Containers[0].Image = w.signed
	_, err = w.create(t, named)
	wantAllowed(t, err)
	events, err := w.Kube.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(events.Items) != 0 {
		t.Errorf("requests left %d events behind", len(events.Items))
	}
}

// tricks are things a tenant can write into an object. None makes an unsigned image run, and none keeps a signed one from it.
func (w *world) tricks(t *testing.T) {
	owner, err := w.create(t, pod("owner", w.signed))
	must(t, err)
	yes, soon := true, metav1.Now()
	tricks := map[string]func(*corev1.Pod){
		"labels": func(p *corev1.Pod) {
			p.Labels = map[string]string{"hallmark.dev/exempt": "true", "hallmark.dev/verified": "true", "app.kubernetes.io/name": "hallmark-controller", "policy.sigstore.dev/exclude": "true", "image-policy.k8s.io/break-glass": "true"}
		},
		"annotations": func(p *corev1.Pod) {
			p.Annotations = map[string]string{"hallmark.dev/verified": "true", "hallmark.dev/break-glass": "true", "alpha.image-policy.k8s.io/break-glass": "true", "kubernetes.io/config.source": "file"}
		},
		"mirror annotation": func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
			p.Spec.NodeName = "n1"
		},
		"owner that does not exist": func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "none", UID: "1", Controller: &yes}}
		},
		"owner that is compliant": func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: owner.Name, UID: owner.UID, Controller: &yes}}
		},
		"deletion timestamp": func(p *corev1.Pod) { p.DeletionTimestamp = &soon },
		"finalizers":         func(p *corev1.Pod) { p.Finalizers = []string{"example.com/never"} },
		"status": func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", ImageID: w.signed}}}
		},
		"another scheduler":     func(p *corev1.Pod) { p.Spec.SchedulerName = "hallmark" },
		"never pulled":          func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever },
		"own container env":     func(p *corev1.Pod) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "HALLMARK", Value: "off"}} },
		"already bound to node": func(p *corev1.Pod) { p.Spec.NodeName = "n1" },
	}
	for name, trick := range tricks {
		t.Run(name, func(t *testing.T) {
			bad, good := pod("trick", w.unsigned), pod("trick", w.signed)
			trick(bad)
			_, err := w.create(t, bad)
			wantDenied(t, err, "hallmark sign")
			trick(good)
			wantAllowed(t, w.tryPod(t, good))
		})
	}
	t.Run("namespace", func(t *testing.T) {
		for _, name := range []string{"hallmark-system-2", "x-hallmark-system"} {
			w.Namespace(t, name)
			bad := pod("trick", w.unsigned)
			bad.Namespace = name
			_, err := w.create(t, bad)
			wantDenied(t, err, "hallmark sign")
		}
		ns, err := w.Kube.CoreV1().Namespaces().Get(t.Context(), "x-hallmark-system", metav1.GetOptions{})
		must(t, err)
		ns.Labels = map[string]string{"kubernetes.io/metadata.name": "hallmark-system", "hallmark.dev/exempt": "true"}
		_, err = w.Kube.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{})
		must(t, err)
		bad := pod("trick", w.unsigned)
		bad.Namespace = ns.Name
		_, err = w.create(t, bad)
		wantDenied(t, err, "hallmark sign")
	})
	t.Run("kube-system", func(t *testing.T) {
		bad := pod("trick", w.unsigned)
		bad.Namespace = "kube-system"
		_, err := w.create(t, bad)
		wantDenied(t, err, "hallmark sign")
	})
}

// users: nobody is exempt, neither administrators (who this suite is all the time) nor the controller's own account.
func (w *world) users(t *testing.T) {
	_, err := w.Kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "everybody-may-everything"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "system:authenticated"}},
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		must(t, w.Kube.RbacV1().ClusterRoleBindings().Delete(context.WithoutCancel(t.Context()), "everybody-may-everything", metav1.DeleteOptions{}))
	})
	for user, groups := range map[string][]string{
		"admin":                          {"system:masters", "system:authenticated"},
		"alice":                          {"system:authenticated"},
		"system:apiserver":               {"system:masters", "system:authenticated"},
		"system:kube-controller-manager": {"system:authenticated"},
		"system:serviceaccount:hallmark-system:hallmark-controller": {"system:serviceaccounts", "system:authenticated"},
		"system:serviceaccount:kube-system:replicaset-controller":   {"system:serviceaccounts", "system:authenticated"},
	} {
		w.awaitRight(t, user, groups, true, mayCreatePods)
		kube := w.As(t, user, groups...)
		_, err := kube.CoreV1().Pods("default").Create(t.Context(), pod("by-user", w.unsigned), metav1.CreateOptions{})
		wantDenied(t, err, "hallmark sign")
		_, err = kube.CoreV1().Pods("default").Create(t.Context(), pod("by-user", w.signed), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		wantAllowed(t, err)
	}
}

// staticPods: a node shows what it runs from a file. It runs anyway, so the answer is yes and the log says no.
func (w *world) staticPods(t *testing.T) {
	_, err := w.Kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "nodes-may-create-pods"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "system:nodes"}},
	}, metav1.CreateOptions{})
	must(t, err)
	mirror := func(name, node string) *corev1.Pod {
		p := pod(name, w.unsigned)
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		p.Spec.NodeName = node
		return p
	}
	groups := []string{"system:nodes", "system:authenticated"}
	w.awaitRight(t, "system:node:n1", groups, true, mayCreatePods)
	node := w.As(t, "system:node:n1", groups...)
	_, err = node.CoreV1().Pods("default").Create(t.Context(), mirror("static-n1", "n1"), metav1.CreateOptions{})
	wantAllowed(t, err)
	w.deleteNow(t, "static-n1")
	if !strings.Contains(w.Log(), `"level":"ERROR","msg":"admission","outcome":"static"`) {
		t.Error("the log does not say that a node runs a pod that would be denied")
	}
	_, err = node.CoreV1().Pods("default").Create(t.Context(), mirror("static-n2", "n2"), metav1.CreateOptions{})
	wantDenied(t, err)
	unmarked := mirror("static-n1", "n1")
	unmarked.Annotations = nil
	_, err = node.CoreV1().Pods("default").Create(t.Context(), unmarked, metav1.CreateOptions{})
	wantDenied(t, err)
}
