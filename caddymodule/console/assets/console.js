// Refreshes the parts of a page that change. Without it every page works; reload it by hand.
"use strict";

// A box at the head of a list selects all of it.
for (const all of document.querySelectorAll("[data-all]")) {
	const boxes = all.closest("table").querySelectorAll("input[name=id]");
	all.hidden = false;
	all.addEventListener("change", () => boxes.forEach((box) => { box.checked = all.checked; }));
}

(() => {
	if ("still" in document.body.dataset) {
		return; // the page must stay as it is
	}
	const every = 2000, slowest = 30000;
	let wait = every, timer = 0, running = false;
	const shown = new Map(); // what the server last sent for each part
	const freshness = document.getElementById("freshness");
	const since = () => freshness.querySelector("time")?.textContent || freshness.dataset.since;

	// The element that had the focus is found again by what it is.
	const key = (e) => e.id || e.tagName + (e.getAttribute("href") || e.closest("[id]").id);

	function replace(part) {
		const old = document.getElementById(part.id);
		if (!old || shown.get(part.id) === part.innerHTML) {
			return;
		}
		const selection = getSelection();
		if (!selection.isCollapsed && old.contains(selection.anchorNode)) {
			return; // an id is being copied
		}
		if ("hold" in old.dataset && matchMedia("(hover: hover)").matches && old.matches(":hover")) {
			old.dataset.held = ""; // a row must not move away from the pointer
			return;
		}
		delete old.dataset.held;
		shown.set(part.id, part.innerHTML);
		const focused = old.contains(document.activeElement) ? key(document.activeElement) : "";
		for (const d of old.querySelectorAll("details[id]")) {
			const now = part.querySelector("#" + CSS.escape(d.id));
			if (now) {
				now.open = d.open;
			}
		}
		old.className = part.className;
		old.replaceChildren(...part.childNodes);
		if (focused) {
			[...old.querySelectorAll("a, button, summary")].find((e) => key(e) === focused)?.focus({ preventScroll: true });
		}
	}

	function say(part) {
		const spoken = document.getElementById("spoken"), text = part?.dataset.spoken;
		if (text && spoken.dataset.last !== text) {
			spoken.textContent = spoken.dataset.last ? text : ""; // the first one is on the page
			spoken.dataset.last = text;
		}
	}

	async function refresh() {
		if (running || document.hidden) {
			return;
		}
		running = true;
		clearTimeout(timer);
		try {
			const answer = await fetch(location.href, { headers: { "Scribegate-Part": "1" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
			const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
			if (!answer.ok && answer.status !== 400 || answer.redirected || !fresh.getElementById("freshness")) {
				throw new Error("not the part that was asked for");
			}
			for (const part of fresh.querySelectorAll("[data-part]")) {
				replace(part);
				say(part);
			}
			document.title = fresh.title + " · Scribegate";
			delete freshness.dataset.since;
			wait = every;
		} catch {
			freshness.dataset.since ||= since();
			freshness.textContent = "Not updated since " + freshness.dataset.since;
			freshness.className = "stale";
			shown.delete("freshness");
			wait = Math.min(wait * 2, slowest);
		}
		running = false;
		timer = setTimeout(refresh, wait);
	}

	document.querySelectorAll("[data-spoken]").forEach(say);
	document.addEventListener("visibilitychange", () => {
		wait = every;
		refresh();
	});
	timer = setTimeout(refresh, every);
})();
