"""The MuJoCo model of a drone in a forest or a city; compiled once, refilled for every episode."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np

from liquid_control.envs.drone import city, forest, objects, surfaces
from liquid_control.envs.drone.backdrop import lawn, skyline
from liquid_control.envs.drone.obstacles import Obstacles
from liquid_control.envs.drone.options import COLOURS, MAX_DISTRACTORS, Options
from liquid_control.envs.drone.quadrotor import KINDS, Pose
from liquid_control.envs.drone.route import Object, draw_route
from liquid_control.envs.drone.surfaces import ATLAS, TILE
from liquid_control.envs.scene import light, textures
from liquid_control.envs.scene.meshes import Patch
from liquid_control.envs.scene.season import palette
from liquid_control.envs.scene.stage import (
    HIDDEN,
    SHOWN,
    Stage,
    add_material,
    add_mesh,
    add_texture,
    cheap_to_draw,
    pin,
)

__all__ = ["FOVY", "World"]

FOVY = np.deg2rad(46.0)  # vertical field of view of the front camera; 74 degrees wide at 16 : 9
SKY = 32  # [px], rows of a face of the sky box
# Collision geometry of what is nearest, moved along with the drone: cheaper than all there is.
PILLARS, BLOCKS = 12, 6
STRIDE = 0.3  # [m] of flight after which it moves
HULL = 4  # group of geoms that are hit and never drawn
CHASE = {"x2": (1.5, 0.55), "nano": (0.5, 0.18)}  # [m] of the chase view behind and above
# Textures of the materials; "shade" is the ground of a forest in the shadow.
MATERIALS = {"scenery": "atlas", "decal": "atlas", "ground": "ground", "shade": "ground"}
CLEAR_SIGHT = 1.5  # of the distance of the target is the least that is seen
PARTS = {"forest": forest.CHUNKS, "city": city.CHUNKS}


class World(Stage):
    """A compiled MuJoCo model with `load` to fill in a scene, and `show` before every frame.

    Args:
        kind: of drone, "x2" or "nano".
        width, height: of the largest frame that will be rendered [px].

    Attributes:
        route: of the episode.
        obstacles: of the episode.
        light: of the episode, once drawn by `dress`.
    """

    def __init__(self, kind: str, width: int, height: int) -> None:
        super().__init__(_compile(kind, width, height))
        model = self.model
        self._kind = kind
        self._chunks = {
            scene: [
                (model.geom(f"{scene}_{i}").id, model.geom(f"{scene}_decal_{i}").id)
                for i in range(parts)
            ]
            for scene, parts in PARTS.items()
        }
        self._walls = [model.geom(f"walls_{i}").id for i in range(surfaces.FACADES)]
        self._pillars = np.array([model.geom(f"pillar_{i}").id for i in range(PILLARS)])
        self._blocks = np.array([model.geom(f"block_{i}").id for i in range(BLOCKS)])
        self._hull = model.geom("hull").id
        count = 1 + MAX_DISTRACTORS
        self._objects = [model.body(f"object_{i}").mocapid[0] for i in range(count)]
        self._mocap = {
            name: model.body(name).mocapid[0] for name in ("horizon", "lawn", "gimbal", "follow")
        }
        self._eye, self._turned = model.site("eye").pos.copy(), np.empty(3)
        self._scene = "forest"
        self._around = math.inf, math.inf

    def load(self, options: Options, rng: np.random.Generator) -> None:
        """Lay out a scene: route, obstacles, objects, all that physics needs."""
        self.route = draw_route(rng, options)
        self._scene = options.scene
        self._around = math.inf, math.inf
        # Only how many trees are bare is needed yet: what is random of it comes with `dress`.
        colours = palette(options.season, np.random.default_rng(0))
        if options.scene == "forest":
            self._place = forest.grow(rng, self.route, options, colours)
            self.obstacles: Obstacles = forest.obstacles(self._place)
        else:
            self._place = city.build(rng, self.route, options, colours)
            self.obstacles = city.obstacles(self._place)
        self._pad()
        target = Object(
            options.target, options.colour, self.route.targets[0], self.route.target_yaw
        )
        things: list[Object | None] = [target, *self.route.others]
        things += [None] * (1 + MAX_DISTRACTORS - len(things))
        self._things = things
        for index, thing in enumerate(things):
            hull = self.model.geom(f"hull_{index}").id
            kind, size = objects.HULLS[thing.shape if thing else "box"]
            self.model.geom_type[hull] = kind
            self.model.geom_size[hull] = size
            self.model.geom_rbound[hull] = np.linalg.norm(size)
            self.model.geom_pos[hull, 2] = objects.CENTRE[thing.shape] if thing else 0.5
            place, yaw = (thing.place, thing.yaw) if thing else (np.array([0.0, 0.0]), 0.0)
            self.put(index, place, yaw, 0.0 if thing else -50.0)

    def dress(self, options: Options, rng: np.random.Generator) -> light.Light:
        """Draw what is only seen: colours, light, meshes; the light, to know what falls from it."""
        colours = palette(options.season, rng)
        day = light.draw(
            rng,
            options.daytime,
            options.weather,
            options.sun_elevation,
            options.sun_azimuth,
            options.visibility,
        )
        least = CLEAR_SIGHT * options.distance[1]
        if options.visibility is None and day.sight < least:
            # The target must be seen at the start.
            day = replace(day, sight=least, clear=day.clear * least / day.sight)
        self.light = day
        self._fill_scene(options.scene, day, rng)
        for index, thing in enumerate(self._things):
            if thing:
                self.fill(f"object_{index}", objects.shape(thing.shape, thing.colour))
            seen = SHOWN if thing else HIDDEN
            self.model.geom_group[self.model.geom(f"object_{index}").id] = seen
        self.fill("skyline", skyline(rng, options.scene))
        self.fill("lawn", lawn(TILE))
        self.paint("atlas", surfaces.atlas(rng, colours, day))
        self.paint("ground", surfaces.floor(rng, colours, options.scene))
        self.paint("sky", textures.sky(rng, SKY, day))
        self._shine(day)
        return day

    def _fill_scene(self, scene: str, day: light.Light, rng: np.random.Generator) -> None:
        """Fill in the meshes of the forest or of the city, and hide those of the other."""
        module = forest if scene == "forest" else city
        patches = module.chunks(self._place, day, rng)
        for index, (solid, decal) in enumerate(patches):
            self.fill(f"{scene}_{index}", solid)
            self.fill(f"{scene}_decal_{index}", decal)
        if scene == "city":
            for index, walls in enumerate(city.houses(self._place)):
                self.fill(f"walls_{index}", walls)
                self.paint(f"facade_{index}", surfaces.facade(rng, day))
        corners = [solid.vertices[:, :2] for solid, _ in patches]
        self._centres = np.array([(c.min(0) + c.max(0)) / 2 for c in corners])
        away = (c - m for c, m in zip(corners, self._centres, strict=True))
        self._radii = np.array([np.linalg.norm(way, axis=1).max() for way in away])
        for pairs in self._chunks.values():
            self.model.geom_group[np.array(pairs).ravel()] = HIDDEN
        self.model.geom_group[self._walls] = SHOWN if scene == "city" else HIDDEN

    def _shine(self, day: light.Light) -> None:
        """Light the scene, and say how dark shadows are and what glows."""
        light.apply(self, day)
        # A low sun shades everything, and nothing more than the rest.
        strength = 0.6 * day.shadow * float(np.clip(-2.0 * day.sun[2], 0.35, 1.0))
        self.model.material("decal").rgba[3] = strength
        self.model.material("shade").rgba[:3] = 1.0 - strength
        # What the sun does not reach is lit by all that it does reach; by night windows are.
        glow, lit = (0.0, 0.5) if day.headlights else (0.15, 0.0)
        for name in ("scenery", "ground", "shade"):
            self.model.mat_emission[self.model.material(name).id] = glow
        for index in range(surfaces.FACADES):
            self.model.mat_emission[self.model.material(f"facade_{index}").id] = lit

    def put(self, index: int, place: np.ndarray, yaw: float, z: float = 0.0) -> None:
        """Put an object at a place (2,) [m]; number 0 is the target."""
        body = self._objects[index]
        self.data.mocap_pos[body] = place[0], place[1], z
        self.data.mocap_quat[body] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)

    def surround(self, x: float, y: float) -> None:
        """Move the collision geometry to what stands nearest to (x, y) [m]."""
        if math.hypot(x - self._around[0], y - self._around[1]) < STRIDE:
            return
        self._around = x, y
        model, obstacles = self.model, self.obstacles
        pillars, blocks = obstacles.nearest(x, y, PILLARS, BLOCKS)
        rows = obstacles.pillars[pillars]
        half = np.maximum((rows[:, 4] - rows[:, 3]) / 2 - rows[:, 2], 0.01)
        model.geom_pos[self._pillars, :2] = rows[:, :2]
        model.geom_pos[self._pillars, 2] = (rows[:, 3] + rows[:, 4]) / 2
        model.geom_size[self._pillars, 0], model.geom_size[self._pillars, 1] = rows[:, 2], half
        model.geom_rbound[self._pillars] = rows[:, 2] + half
        rows = obstacles.blocks[blocks]
        size = np.column_stack([rows[:, 3:5], (rows[:, 6] - rows[:, 5]) / 2])
        model.geom_pos[self._blocks, :2] = rows[:, :2]
        model.geom_pos[self._blocks, 2] = (rows[:, 5] + rows[:, 6]) / 2
        model.geom_quat[self._blocks, 0] = np.cos(rows[:, 2] / 2)
        model.geom_quat[self._blocks, 3] = np.sin(rows[:, 2] / 2)
        model.geom_size[self._blocks] = size
        model.geom_rbound[self._blocks] = np.linalg.norm(size, axis=1)

    def show(self, pose: Pose, gimbal: bool) -> None:
        """Aim the cameras for a pose, show what is in sight, hide the rest."""
        data, (x, y, z) = self.data, (pose.x, pose.y, pose.z)
        away = self._centres - [x, y]
        ahead = away @ [np.cos(pose.yaw), np.sin(pose.yaw)] > -self._radii - 3.0
        near = np.linalg.norm(away, axis=1) < self._radii + self.light.sight
        pairs = self._chunks[self._scene]
        for (solid, decal), seen in zip(pairs, ahead & near, strict=True):
            self.model.geom_group[solid] = SHOWN if seen else HIDDEN
            self.model.geom_group[decal] = SHOWN if seen and self.light.shadow else HIDDEN
        data.mocap_pos[self._mocap["horizon"], :2] = x, y
        # In whole tiles, so that the grass does not swim along.
        data.mocap_pos[self._mocap["lawn"], :2] = np.round(np.array([x, y]) / TILE) * TILE
        level = np.array([np.cos(pose.yaw / 2), 0.0, 0.0, np.sin(pose.yaw / 2)])
        turn = level if gimbal else data.qpos[3:7]
        data.mocap_pos[self._mocap["gimbal"]] = self.eye()
        data.mocap_quat[self._mocap["gimbal"]] = turn
        data.mocap_pos[self._mocap["follow"]] = x, y, z
        data.mocap_quat[self._mocap["follow"]] = level

    def eye(self) -> tuple[float, float, float]:
        """Where the camera is: x, y, z [m]."""
        mujoco.mju_rotVecQuat(self._turned, self._eye, self.data.qpos[3:7])
        return tuple((self._turned + self.data.qpos[:3]).tolist())

    def _pad(self) -> None:
        """Put obstacles of no size far away, so that there are always enough to be nearest."""
        far = 1e3
        pillars, blocks = self.obstacles.pillars, self.obstacles.blocks
        more = np.tile([far, far, 0.01, 0.0, 0.1], (PILLARS + 1, 1))
        pillars = np.concatenate([pillars, more])
        more = np.tile([far, far, 0.0, 0.01, 0.01, 0.0, 0.1], (BLOCKS + 1, 1))
        self.obstacles = Obstacles(pillars, np.concatenate([blocks, more]))


def _compile(kind: str, width: int, height: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(str(KINDS[kind]))
    cheap_to_draw(spec, width, height)
    spec.stat.extent, spec.stat.center = 100.0, [0.0, 0.0, 0.0]
    spec.visual.map.znear, spec.visual.map.zfar = 0.001, 4.0
    # The tree of static geoms is built when a model is compiled, and ours move.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    add_texture(spec, "atlas", ATLAS.size, ATLAS.size)
    add_texture(spec, "ground", surfaces.GROUND, surfaces.GROUND)
    add_texture(spec, "sky", SKY, 6 * SKY, sky=True)
    for name, texture in MATERIALS.items():
        add_material(spec, name, texture)
    spec.worldbody.add_light(name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=0)
    for scene, patches in _examples().items():
        for index, (solid, decal) in enumerate(patches):
            add_mesh(spec, spec.worldbody, f"{scene}_{index}", solid, "scenery", HIDDEN)
            shadow = "shade" if scene == "forest" else "decal"
            add_mesh(spec, spec.worldbody, f"{scene}_decal_{index}", decal, shadow, HIDDEN)
    return _furnish(spec, kind)


def _examples() -> dict[str, list[tuple[Patch, Patch]]]:
    """Meshes with the counts that every scene has."""
    rng, found = np.random.default_rng(0), {}
    for scene, module in (("forest", forest), ("city", city)):
        options = Options(scene=scene).decided(rng)
        route, colours, day = draw_route(rng, options), palette("summer", rng), light.draw(rng)
        make = forest.grow if scene == "forest" else city.build
        found[scene] = module.chunks(make(rng, route, options, colours), day, rng)
    return found


def _furnish(spec: mujoco.MjSpec, kind: str) -> mujoco.MjModel:
    """Add walls, objects, what is hit, the horizon and the cameras."""
    rng, world = np.random.default_rng(0), spec.worldbody
    options = Options(scene="city").decided(rng)
    example = city.build(rng, draw_route(rng, options), options, palette("summer", rng))
    for index, walls in enumerate(city.houses(example)):
        add_texture(
            spec,
            f"facade_{index}",
            surfaces.BAYS * surfaces.WINDOW,
            surfaces.FLOORS * surfaces.WINDOW,
        )
        add_material(spec, f"facade_{index}", f"facade_{index}")
        add_mesh(spec, world, f"walls_{index}", walls, f"facade_{index}", HIDDEN)
    touch = {"contype": 2, "conaffinity": 1, "group": HULL}
    capsule, box = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX
    for index in range(PILLARS):
        world.add_geom(name=f"pillar_{index}", type=capsule, size=[0.1, 1.0, 0.0], **touch)
    for index in range(BLOCKS):
        world.add_geom(name=f"block_{index}", type=box, size=[1.0, 1.0, 1.0], **touch)
    for index in range(1 + MAX_DISTRACTORS):
        body = world.add_body(name=f"object_{index}", mocap=True)
        body.add_geom(
            name=f"hull_{index}", type=box, size=[0.5, 0.5, 0.5], pos=[0, 0, 0.5], **touch
        )
        add_mesh(
            spec, body, f"object_{index}", objects.shape("box", next(iter(COLOURS))), "scenery"
        )
    horizon = world.add_body(name="horizon", mocap=True)
    add_mesh(spec, horizon, "skyline", skyline(rng, "forest"), "scenery")
    # MuJoCo's own textured plane takes ten times as long to draw as this mesh.
    lawns = world.add_body(name="lawn", mocap=True)
    add_mesh(spec, lawns, "lawn", lawn(TILE), "ground")
    gimbal = world.add_body(name="gimbal", mocap=True)
    gimbal.add_camera(name="front", xyaxes=[0, -1, 0, 0, 0, 1], fovy=np.rad2deg(FOVY))
    follow = world.add_body(name="follow", mocap=True)
    back, above = CHASE[kind]
    tilt = np.arctan2(above, back) * 0.75
    follow.add_camera(
        name="chase",
        pos=[-back, 0.0, above],
        xyaxes=[0, -1, 0, np.sin(tilt), 0, np.cos(tilt)],
        fovy=52.0,
    )
    model = spec.compile()
    pin(model)
    # A geom that moves is never in the frame of its body.
    moving = [f"pillar_{i}" for i in range(PILLARS)] + [f"block_{i}" for i in range(BLOCKS)]
    moving += [f"hull_{i}" for i in range(1 + MAX_DISTRACTORS)]
    for name in moving:
        model.geom_sameframe[model.geom(name).id] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
    return model
