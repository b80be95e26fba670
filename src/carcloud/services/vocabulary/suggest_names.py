"""Names that signals of buses have for what the catalogue has."""

from typing import Final

# Words in lower case; | between names. What they mean is sure only with a unit that fits.
NAMES: Final = {
    "Vehicle.Speed": (
        "vehicle speed|veh spd|veh speed|wheel based vehicle speed|speed|v speed|car speed|"
        "vehicle spd|spd veh"
    ),
    "Vehicle.Powertrain.CombustionEngine.Speed": (
        "engine speed|eng speed|eng spd|engine rpm|rpm|motor rpm|eng rpm|n mot|engspeed"
    ),
    "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature": (
        "engine coolant temperature|coolant temp|coolant temperature|eng coolant temp|ect"
    ),
    "Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature": (
        "engine oil temperature|eng oil temp|oil temperature|engine oil temperature 1"
    ),
    "Vehicle.Powertrain.CombustionEngine.EOP": (
        "engine oil pressure|eng oil pressure|oil pressure"
    ),
    "Vehicle.Powertrain.CombustionEngine.TPS": "throttle position|throttle pos",
    "Vehicle.Powertrain.CombustionEngine.MAF": "mass air flow|maf",
    "Vehicle.Chassis.Accelerator.PedalPosition": (
        "accelerator pedal position|accelerator pedal position 1|accel pedal position|"
        "accel pedal pos|gas pedal position|pedal position|accel pos"
    ),
    "Vehicle.Chassis.Brake.PedalPosition": "brake pedal position|brake pedal pos",
    "Vehicle.Chassis.SteeringWheel.Angle": (
        "steering wheel angle|steering angle|steer angle|str wheel angle|steer wheel angle"
    ),
    "Vehicle.Powertrain.FuelSystem.RelativeLevel": "fuel level|fuel level 1|fuel gauge",
    "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed": (
        "state of charge|soc|battery soc|soc displayed"
    ),
    "Vehicle.Powertrain.TractionBattery.CurrentVoltage": (
        "battery voltage hv|pack voltage|hv battery voltage"
    ),
    "Vehicle.Powertrain.TractionBattery.CurrentCurrent": (
        "pack current|hv battery current|battery current hv"
    ),
    "Vehicle.LowVoltageBattery.CurrentVoltage": "battery voltage|battery potential power input 1",
    "Vehicle.TraveledDistance": (
        "odometer|total vehicle distance|high resolution total vehicle distance|odo|total distance"
    ),
    "Vehicle.AngularVelocity.Yaw": "yaw rate|yaw|yawrate",
    "Vehicle.Acceleration.Lateral": (
        "lateral acceleration|lat acceleration|lateral accel|accel lateral|lat accel"
    ),
    "Vehicle.Acceleration.Longitudinal": (
        "longitudinal acceleration|long acceleration|longitudinal accel|accel longitudinal"
    ),
    "Vehicle.Exterior.AirTemperature": (
        "ambient air temperature|ambient temperature|outside temperature|outside temp|ambient temp"
    ),
    "Vehicle.Chassis.Axle.Row1.Wheel.Left.Speed": (
        "wheel speed fl|wheel spd fl|whl spd fl|fl wheel speed|front left wheel speed|"
        "wheel speed front left"
    ),
    "Vehicle.Chassis.Axle.Row1.Wheel.Right.Speed": (
        "wheel speed fr|wheel spd fr|whl spd fr|fr wheel speed|front right wheel speed|"
        "wheel speed front right"
    ),
    "Vehicle.Chassis.Axle.Row2.Wheel.Left.Speed": (
        "wheel speed rl|wheel spd rl|whl spd rl|rl wheel speed|rear left wheel speed|"
        "wheel speed rear left"
    ),
    "Vehicle.Chassis.Axle.Row2.Wheel.Right.Speed": (
        "wheel speed rr|wheel spd rr|whl spd rr|rr wheel speed|rear right wheel speed|"
        "wheel speed rear right"
    ),
}
